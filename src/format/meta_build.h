/* Metadata of a view whose container has none of GGUF's form: entries are added one by one, keys and values are copied
 * into the view's arena. mf_index_meta comes after the last. */
#ifndef LATHE_FORMAT_META_BUILD_H
#define LATHE_FORMAT_META_BUILD_H
#include "format/view.h"

void meta_put(struct model_file *f, const char *key, enum mf_kind kind, const void *data, uint64_t n_bytes);
void meta_put_u32(struct model_file *f, const char *key, uint64_t v);
void meta_put_f32(struct model_file *f, const char *key, float v);
void meta_put_bool(struct model_file *f, const char *key, bool v);
void meta_put_str(struct model_file *f, const char *key, struct str v);
/* A string whose bytes stay where they are, as long as the view lives. */
void meta_put_text(struct model_file *f, const char *key, struct str v);
/* `data` as GGUF has the elements of an array. */
void meta_put_array(struct model_file *f, const char *key, enum mf_kind elem, uint64_t n, const void *data,
                    uint64_t n_bytes);
#endif
