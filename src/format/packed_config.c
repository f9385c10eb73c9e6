/* quantization_config, in the keys that those who publish a layout write today. */
#include "format/packed_config.h"

/* Modules that are no quantized ones. A list that is there is all that transformers leaves alone, so that the head is in it. */
static json_t *left_alone(const json_t *kept)
{
    json_t *all = json_deep_copy(kept);
    json_array_append_new(all, json_string("lm_head"));
    return all;
}

static json_t *gptq(const struct packed_write *w, bool has_order)
{
    return json_pack("{ss si sI sb sb ss sb ss}", "quant_method", "gptq", "bits", 4, "group_size",
                     (json_int_t)w->group, "desc_act", has_order, "sym", w->symmetric, "checkpoint_format",
                     "gptq", "lm_head", 0, "pack_dtype", "int32");
}

static json_t *awq(const struct packed_write *w, const json_t *kept)
{
    return json_pack("{ss si sI sb ss so}", "quant_method", "awq", "bits", 4, "group_size",
                     (json_int_t)w->group, "zero_point", 1, "version", "gemm", "modules_to_not_convert",
                     json_array_size(kept) ? left_alone(kept) : json_null());
}

static json_t *nf4(const json_t *kept)
{
    return json_pack("{ss sb sb ss sb ss ss so}", "quant_method", "bitsandbytes", "load_in_4bit", 1,
                     "load_in_8bit", 0, "bnb_4bit_quant_type", "nf4", "bnb_4bit_use_double_quant", 1,
                     "bnb_4bit_compute_dtype", "bfloat16", "bnb_4bit_quant_storage", "uint8",
                     "llm_int8_skip_modules", left_alone(kept));
}

/* Without activations 8-bit integers are pack-quantized to others; int-quantized are those whose products are of integers: W8A8,
 * activations rounded as they come. */
static json_t *activations(bool bytes)
{
    return bytes ? json_pack("{si ss sb ss sb}", "num_bits", 8, "type", "int", "symmetric", 1, "strategy",
                             "token", "dynamic", 1)
                 : json_null();
}

static json_t *compressed(const struct packed_write *w, const json_t *kept)
{
    bool bytes = w->kind == WRITE_BYTES, rows = w->group < 0;
    const char *format = bytes ? "int-quantized" : "pack-quantized";
    json_t *weights = json_pack("{si ss sb ss so sb}", "num_bits", bytes ? 8 : 4, "type", "int", "symmetric",
                                w->symmetric || bytes, "strategy", rows ? "channel" : "group", "group_size",
                                rows ? json_null() : json_integer((json_int_t)w->group), "dynamic", 0);
    json_t *group = json_pack("{ss s[s] so so sn}", "format", format, "targets", "Linear", "weights", weights,
                              "input_activations", activations(bytes), "output_activations");
    return json_pack("{ss ss ss so s{so}}", "quant_method", "compressed-tensors", "format", format,
                     "quantization_status", "compressed", "ignore", left_alone(kept), "config_groups",
                     "group_0", group);
}

json_t *packed_config(const struct packed_write *w, const json_t *kept, bool has_order)
{
    return w->kind == WRITE_GPTQ  ? gptq(w, has_order)
           : w->kind == WRITE_AWQ ? awq(w, kept)
           : w->kind == WRITE_NF4 ? nf4(kept)
                                  : compressed(w, kept);
}
