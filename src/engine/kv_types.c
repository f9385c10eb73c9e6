/* The types of keys and values that are asked for. */
#include "engine/engine.h"

enum { N_TYPE = LATHE_KV_Q4 + 1 };

int kv_types_check(const struct lathe_engine_options *o, struct lathe_err *err)
{
    if ((int)o->kv_type < 0 || (int)o->kv_type >= N_TYPE)
        return err_set(err, LATHE_E_USAGE, "kv_type is %d, expected %d (f16) to %d (q4)", (int)o->kv_type,
                       LATHE_KV_F16, LATHE_KV_Q4);
    if (o->kv_value_type < 0 || o->kv_value_type > N_TYPE)
        return err_set(err, LATHE_E_USAGE, "kv_value_type is %d, expected 0 (as the keys) to %d (q4)",
                       o->kv_value_type, LATHE_KV_VALUES(LATHE_KV_Q4));
    return 0;
}

struct kv_types kv_types_of(const struct lathe_engine_options *o)
{
    return (struct kv_types){o->kv_type,
                             o->kv_value_type ? (enum lathe_kv_type)(o->kv_value_type - 1) : o->kv_type};
}
