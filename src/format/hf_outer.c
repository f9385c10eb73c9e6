/* Checkpoints of several models, of which the one that writes text is read: its configuration is `text_config` in config.json, its
 * tensors begin with another prefix. What such a checkpoint has besides (eyes, and the projector behind them) is left out, and the view
 * says so; a prompt of text alone does not touch it. */
#include "format/hf.h"

/* Class of the checkpoint, model_type of its text, class of the model that is read. Those of Qwen were saved with the keys of the text
 * beside the others at first. */
static const struct {
    const char *name, *type, *class;
} rows[] = {
    {"Gemma3ForConditionalGeneration", "gemma3_text", "Gemma3ForCausalLM"},
    {"Mistral3ForConditionalGeneration", "mistral", "MistralForCausalLM"},
    {"LlavaForConditionalGeneration", "mistral", "MistralForCausalLM"},
    {"LlavaForConditionalGeneration", "llama", "LlamaForCausalLM"},
    {"Qwen2VLForConditionalGeneration", "qwen2_vl", "Qwen2VLTextModel"},
    {"Qwen2VLForConditionalGeneration", "qwen2_vl_text", "Qwen2VLTextModel"},
    {"Qwen2_5_VLForConditionalGeneration", "qwen2_5_vl", "Qwen2VLTextModel"},
    {"Qwen2_5_VLForConditionalGeneration", "qwen2_5_vl_text", "Qwen2VLTextModel"},
    {"Qwen3VLForConditionalGeneration", "qwen3_vl_text", "Qwen3VLTextModel"},
};

int hf_outer(struct hf *h, const char **class)
{
    const json_t *text = hf_get(h->whole, "text_config");
    const json_t *config = text ? text : h->whole;
    const char *type = json_string_value(hf_get(config, "model_type"));
    bool is_outer = false;
    if (text && !json_is_object(text))
        return err_set(h->err, LATHE_E_FILE, "%sconfig.json: text_config is no object", h->path);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].name, *class) != 0)
            continue;
        is_outer = true;
        if (!type || strcmp(rows[i].type, type) != 0)
            continue;
        h->config = (json_t *)config;
        h->is_outer = true;
        h->f->left_out = "vision";
        *class = rows[i].class;
        return 0;
    }
    return is_outer
               ? err_set(h->err, LATHE_E_UNSUPPORTED,
                         "%sconfig.json: the text of a %s is of model_type '%.60s' here, which cannot run",
                         h->path, *class, type ? type : "")
               : 0;
}
