/* What type each tensor of a model gets: the named mixes of mixes.inc, and what the user says of single tensors. */
#ifndef LATHE_SHAPE_MIX_H
#define LATHE_SHAPE_MIX_H
#include "format/model_file.h"
#include "quant/format.h"

struct mix;

/* The mix of a name, or the format of one for all matrices. USAGE lists the names. */
int mix_find(const char *name, const struct mix **out, struct lathe_err *err);
uint32_t mix_file_type(const struct mix *m);
const char *mix_name(const struct mix *m);

/* What the choice depends on besides the tensor. */
struct mix_model {
    const struct mix *mix;
    bool pure; /* no rules: every matrix gets the mix's own type */
    const char *const
        *own; /* "part of a name=type", the first that fits decides; ends with NULL; may be NULL */
    int n_layer, n_expert;
    bool weighted;   /* columns are, by importance: the caller's */
    bool grouped;    /* four or more query heads share a key head */
    bool has_output; /* else the embedding serves as output head */
};
/* Reads of a model what the rules ask for; pure, own and weighted are the caller's. USAGE for a rule of the user's that cannot be. */
int mix_read(struct mix_model *m, const struct model_file *f, struct lathe_err *err);
/* Whether a tensor is a matrix that is given a type; and whether the user has named it. */
bool mix_is_matrix(const struct mf_tensor *t);
bool mix_is_own(const struct mix_model *m, const struct mf_tensor *t);
/* The type that a matrix gets, and in *wanted the one that it would if its rows were whole blocks of it; NULL: it stays as it is. */
const struct format *mix_type(const struct mix_model *m, const struct mf_tensor *t,
                              const struct format **wanted);
#endif
