/* lathe_convert: any model file as GGUF. */
#include "format/ggml_vocab.h"
#include "format/gguf_write.h"
#include "quant/encode.h"

int lathe_convert(const char *from, const char *to, const struct lathe_convert_options *opts,
                  struct lathe_err *err)
{
    struct gguf_write o = {0};
    struct model_file *f;
    if (opts) {
        o.progress = opts->progress;
        o.user = opts->user;
        o.type = opts->type ? format_encoded_as(opts->type) : NULL;
        if (opts->type && !o.type)
            return err_set(err, LATHE_E_USAGE, "type '%.40s' cannot be written: f32, f16, bf16 or q8_0",
                           opts->type);
    }
    TRY(model_file_open(from, &f, err));
    if (model_file_left_out(f) && opts && opts->left_out)
        opts->left_out(opts->user, model_file_left_out(f));
    char note[400];
    int rc = ggml_vocab(f, note, err);
    if (!rc)
        rc = gguf_write(f, &o, to, err);
    if (!rc && note[0] && opts && opts->note)
        opts->note(opts->user, note);
    model_file_free(f);
    return rc;
}
