/* The program's frame: option values, the table of commands, and what several commands share. */
#ifndef LATHE_CLI_CLI_H
#define LATHE_CLI_CLI_H
#include "base/opt.h"

struct cli_options {
    bool help, json, man;
    const char *completion;
    const char *model, *cache_dir, *chat_template; /* model */
    bool no_cache, exact, lock, stream;
    int load_as, precision, convert_type;                 /* choices of their rows */
    int n_thread, n_ctx, n_chunk, fusion, power, profile; /* engine */
    struct opt_pair kv_type;                              /* enum lathe_kv_type */
    int n_predict, n_logprob, stats;                      /* answer */
    struct opt_list stop, logit_bias;
    bool ignore_eos, special, raw;
    const char *system, *prompt, *dump_logits;
    struct lathe_sampling sampling;
    struct opt_ints bench_prompt, bench_predict, bench_batch;
    int n_repeat;
    bool no_limits;
    int profile_prompt, profile_predict, profile_batch;
    const char *trace;
    const char *text_file;
    int n_chunks;
    const char *ref, *save_ref; /* eval */
    bool ref_exact;
    int n_eval_token, n_task_item, n_shot, eval_predict;
    struct opt_list tasks;
    const char *log_samples, *html, *pairs;
    struct opt_ints needle;
    int n_depth, n_key;
    int pooling, normalize, n_dimension; /* embed */
    bool truncate;
    const char *store, *sha256; /* pull */
    int n_retry;
    bool ids, parse_special, add_bos, decode;                           /* tokenize */
    const char *template_file, *chat_file, *date;                       /* template */
    bool tensors;                                                       /* info */
    const char *quantize_type, *types, *calib, *imatrix, *save_imatrix; /* quantize */
    int quantize_method, calib_tokens, calib_ctx;
    float damping;
    bool act_order, measure_output;
    float target_bpw, target_kl;
    uint64_t target_bytes;
    const char *layout;
    int group;
    bool symmetric;
    bool pure;
    struct opt_list tensor_type;
    int n_sequence, selftest_predict; /* selftest */
    uint64_t memory, swap;
    const char *host; /* serve */
    int port, n_parallel, n_kv_token, n_queue, n_queue_token, preempt;
    float target_itl_ms;
    bool insecure, no_prefix_cache;
    const char *admin_listen, *keys, *tls_cert, *tls_key;
    struct opt_list allowed_host, cors_origin;
    int max_body, max_header, max_connection, max_per_address, idle_time, body_time, stall_time;
    int log, log_level; /* enum log_format, log_level */
    bool access_log, log_prompts;
    const char *config;
    bool effective;       /* config */
    struct opt_list role; /* key */
    int key_requests, key_tokens, key_concurrency;
};

struct cli {
    struct cli_options o, read; /* read: as they were given, before a command fills in what it found */
    struct opt_operands operands;
    const char *program; /* argv[0] */
    const struct opt_command *command;
    int argc; /* after the command */
    const char *const *argv;
    const char *file_path; /* of the configuration that was read; NULL: none */
    struct opt_settings file;
    struct opt_origin *origin; /* of each row */
    struct arena memory;       /* of the values that are in none of these */
};

extern const struct opt_table cli_table;

/* Each command returns an exit code, or a lathe code below 0 with the words in err. */
#define COMMAND(name, groups, operands, max_operand, summary, text) \
    int cmd_##name(struct cli *c, struct lathe_err *err);
#include "cli/commands.inc"
#undef COMMAND

/* For a command and its arguments, nothing read yet. */
struct cli *cli_new(const struct opt_command *command, const char *program, int argc,
                    const char *const *argv);
void cli_free(struct cli *c);
/* Reads the options from where they can be given, and from a configuration file if `path` is not NULL. */
int cli_read(struct cli *c, const char *path, struct lathe_err *err);
/* Whether an option was given by the user, and is no default or profile. */
bool cli_given(const struct cli *c, const char *option);
/* The name of the profile. */
const char *cli_profile(const struct cli *c);
/* The command whose options are the keys of a configuration file. */
struct opt_command cli_file_command(void);

/* Runs the program; returns its exit code. */
int cli_main(int argc, const char *const *argv);
#endif
