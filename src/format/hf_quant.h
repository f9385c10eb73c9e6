/* Quantized weights in Hugging Face folders: GPTQ, AWQ, compressed-tensors, bitsandbytes. quantization_config says the method; a
 * matrix is several tensors, which become one of the view. Inside of src/format. */
#ifndef LATHE_FORMAT_HF_QUANT_H
#define LATHE_FORMAT_HF_QUANT_H
#include "format/hf.h"
#include "format/packed.h"

/* quantization_config by its rows; LATHE_E_UNSUPPORTED names what is not covered. */
int hf_quant_config(struct hf *h);
/* Whether the tensor is a part of a quantized matrix; then it is kept until hf_quant_end. */
bool hf_quant_take(struct hf *h, const struct mf_part *part, const struct st_tensor *t);
/* Puts the parts together, checks all of them, and adds the matrices. */
int hf_quant_end(struct hf *h);
void hf_quant_free(struct hf *h);

/* hf_names.c: adds the matrix under the name of `stem`.weight. */
int hf_add_packed(struct hf *h, const char *stem, const char *path, uint32_t type, const struct mf_packed *p);
/* hf_config.c: whether v is one of the values between '|', as JSON. */
bool hf_is_one_of(const json_t *v, const char *values);
#endif
