/* lathe_convert: any model file as GGUF. */
#include "format/ggml_vocab.h"
#include "format/gguf_write.h"
#include "quant/encode.h"

int gguf_write_open(const char *from, struct model_file **out, char note[400], struct lathe_err *err)
{
    TRY(model_file_open(from, out, err));
    int rc = ggml_vocab(*out, note, err);
    if (rc) {
        model_file_free(*out);
        *out = NULL;
    }
    return rc;
}

int lathe_convert(const char *from, const char *to, const struct lathe_convert_options *opts,
                  struct lathe_err *err)
{
    struct gguf_write o = {0};
    struct model_file *f;
    if (opts) {
        o.progress = opts->progress;
        o.user = opts->user;
        o.type = opts->type ? format_encoded_as(opts->type) : NULL;
        if (opts->type && (!o.type || (!format_is_float(o.type->id) && o.type->id != FORMAT_Q8_0)))
            return err_set(
                err, LATHE_E_USAGE,
                "type '%.40s' cannot be converted to: f32, f16, bf16 or q8_0; to others with lathe quantize",
                opts->type);
    }
    char note[400];
    TRY(gguf_write_open(from, &f, note, err));
    if (model_file_left_out(f) && opts && opts->left_out)
        opts->left_out(opts->user, model_file_left_out(f));
    int rc = gguf_write(f, &o, to, err);
    if (!rc && note[0] && opts && opts->note)
        opts->note(opts->user, note);
    model_file_free(f);
    return rc;
}
