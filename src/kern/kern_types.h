/* The quantized types that kernels are made for, in the order of their rows: X(NAME, name, ...) for each. */
#ifndef LATHE_KERN_KERN_TYPES_H
#define LATHE_KERN_KERN_TYPES_H

/* Plain C has code of their own for these three; for the others it has one by their forms (kern/form.h). */
#define KERN_PAIR_TYPES(X, ...) \
    X(Q4_0, q4_0, __VA_ARGS__)  \
    X(Q4_1, q4_1, __VA_ARGS__)  \
    X(Q8_0, q8_0, __VA_ARGS__)
#define KERN_BLOCK_TYPES(X, ...)       \
    X(Q5_0, q5_0, __VA_ARGS__)         \
    X(Q5_1, q5_1, __VA_ARGS__)         \
    X(Q2_K, q2_k, __VA_ARGS__)         \
    X(Q3_K, q3_k, __VA_ARGS__)         \
    X(Q4_K, q4_k, __VA_ARGS__)         \
    X(Q5_K, q5_k, __VA_ARGS__)         \
    X(Q6_K, q6_k, __VA_ARGS__)         \
    X(IQ4_NL, iq4_nl, __VA_ARGS__)     \
    X(IQ4_XS, iq4_xs, __VA_ARGS__)     \
    X(MXFP4, mxfp4, __VA_ARGS__)       \
    X(INT4_32, int4_32, __VA_ARGS__)   \
    X(INT4_64, int4_64, __VA_ARGS__)   \
    X(INT4_128, int4_128, __VA_ARGS__) \
    X(INT8_32, int8_32, __VA_ARGS__)   \
    X(INT8_128, int8_128, __VA_ARGS__) \
    X(NF4, nf4, __VA_ARGS__)           \
    X(TQ1_0, tq1_0, __VA_ARGS__)       \
    X(TQ2_0, tq2_0, __VA_ARGS__)       \
    X(IQ1_S, iq1_s, __VA_ARGS__)       \
    X(IQ1_M, iq1_m, __VA_ARGS__)       \
    X(IQ2_XXS, iq2_xxs, __VA_ARGS__)   \
    X(IQ2_XS, iq2_xs, __VA_ARGS__)     \
    X(IQ2_S, iq2_s, __VA_ARGS__)       \
    X(IQ3_XXS, iq3_xxs, __VA_ARGS__)   \
    X(IQ3_S, iq3_s, __VA_ARGS__)
#define KERN_TYPES(X, ...)          \
    KERN_PAIR_TYPES(X, __VA_ARGS__) \
    KERN_BLOCK_TYPES(X, __VA_ARGS__)

/* Rows of kernels.inc, of a set of instructions and its suffix. */
#define KERN_DOT(OF, of, ISA, isa, class_name) \
    KERN(TILE_DOT, tile_dot, OF, "int8", ISA, tile_dot_##of##_##isa, class_name)
#define KERN_UNPACKED(OF, of, ISA, isa, class_name) \
    KERN(UNPACK, unpack, OF, "-", ISA, unpack_##of##_##isa, class_name)
/* A set of instructions that has every operation. */
#define KERN_LEVEL(ISA, isa)                                                          \
    KERN_TYPES(KERN_DOT, ISA, isa, "portable")                                        \
    KERN(TILE_F32, tile_f32, F32, "f32", ISA, tile_f32_##isa, "portable")             \
    KERN(TILE_F32, tile_f32, F16, "f32", ISA, tile_f16_##isa, "portable")             \
    KERN(TILE_F32, tile_f32, BF16, "f32", ISA, tile_bf16_##isa, "portable")           \
    KERN(TILE_SPAN, tile_span, Q4_1, "f32", ISA, tile_span_q4_##isa, "portable")      \
    KERN(TILE_SPAN, tile_span, Q8_1, "f32", ISA, tile_span_q8_##isa, "portable")      \
    KERN(PACK_SPAN, pack_span, Q4_1, "f16", ISA, pack_span_q4_##isa, "portable")      \
    KERN(PACK_SPAN, pack_span, Q8_1, "f16", ISA, pack_span_q8_##isa, "portable")      \
    KERN(UNPACK, unpack, F16, "-", ISA, unpack_f16_##isa, "portable")                 \
    KERN(UNPACK, unpack, BF16, "-", ISA, unpack_bf16_##isa, "portable")               \
    KERN_TYPES(KERN_UNPACKED, ISA, isa, "portable")                                   \
    KERN(QUANTIZE, quantize, F32, "f32", ISA, quantize_##isa, "portable")             \
    KERN(RMSNORM, rmsnorm, F32, "f32", ISA, rmsnorm_##isa, "portable")                \
    KERN(BIAS, bias, F32, "f32", ISA, bias_##isa, "portable")                         \
    KERN(LAYERNORM, layernorm, F32, "f32", ISA, layernorm_##isa, "portable")          \
    KERN(ROPE, rope, F32, "f32", ISA, rope_##isa, "portable")                         \
    KERN(SILU_MUL, silu_mul, F32, "f32", ISA, silu_mul_##isa, "portable")             \
    KERN(GELU_MUL, gelu_mul, F32, "f32", ISA, gelu_mul_##isa, "portable")             \
    KERN(GELU, gelu, F32, "f32", ISA, gelu_##isa, "portable")                         \
    KERN(GLU_CLAMPED, glu_clamped, F32, "f32", ISA, glu_clamped_##isa, "portable")    \
    KERN(SOFTCAP, softcap, F32, "f32", ISA, softcap_##isa, "portable")                \
    KERN(SPAN_SOFTMAX, span_softmax, F32, "f32", ISA, span_softmax_##isa, "portable") \
    KERN(SPAN_MERGE, span_merge, F32, "f32", ISA, span_merge_##isa, "portable")       \
    KERN(TO_F16, to_f16, F32, "f32", ISA, to_f16_##isa, "portable")                   \
    KERN(TO_BF16, to_bf16, F32, "f32", ISA, to_bf16_##isa, "portable")                \
    KERN(ARGMAX, argmax, F32, "f32", ISA, argmax_##isa, "portable")                   \
    KERN(SUM_EXP, sum_exp, F32, "f32", ISA, sum_exp_##isa, "portable")
#endif
