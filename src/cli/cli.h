/* The program's frame: option values, the table of commands, and what several commands share. */
#ifndef LATHE_CLI_CLI_H
#define LATHE_CLI_CLI_H
#include "base/opt.h"

struct cli_options {
    bool help, json, man;
    const char *completion;
    const char *model, *cache_dir; /* model */
    bool no_cache, exact, lock;
    int n_thread, n_ctx, n_chunk, fusion, kv_type; /* engine */
    int n_predict, n_logprob, stats;               /* answer */
    struct opt_list stop, logit_bias;
    bool ignore_eos, special, raw;
    const char *system, *prompt, *dump_logits;
    struct lathe_sampling sampling;
    struct opt_ints bench_prompt, bench_predict, bench_batch;
    int n_repeat;
    bool no_limits;
    int profile_prompt, profile_predict;
    const char *trace;
    const char *text_file, *save_base, *kl_base; /* perplexity */
    int n_chunks;
    bool ids, parse_special, add_bos, decode;     /* tokenize */
    const char *template_file, *chat_file, *date; /* template */
    bool tensors;                                 /* info */
    int n_sequence, selftest_predict;             /* selftest */
    uint64_t memory, swap;
    const char *host; /* serve */
    int port, n_parallel, n_kv_token, n_queue, n_queue_token, preempt;
    float target_itl_ms;
    bool insecure, no_prefix_cache;
};

struct cli {
    struct cli_options o;
    struct opt_operands operands;
    const char *program; /* argv[0] */
};

extern const struct opt_table cli_table;

/* Each command returns an exit code, or a lathe code below 0 with the words in err. */
#define COMMAND(name, groups, operands, max_operand, summary, text) \
    int cmd_##name(struct cli *c, struct lathe_err *err);
#include "cli/commands.inc"
#undef COMMAND

/* Runs the program; returns its exit code. */
int cli_main(int argc, const char *const *argv);
#endif
