/* What a layer is computed with for a while. */
#include "shape/layer_swap.h"
#include <stdlib.h>
#include <sys/mman.h>
#include "base/new_file.h"
#include "kern/panel.h"

void layer_swap_init(struct layer_swap *s, const struct lathe_model *m, int n_matrix, const char *folder)
{
    *s = (struct layer_swap){.model = m, .folder = folder};
    s->matrix = mem_new((size_t)n_matrix * sizeof *s->matrix);
}

int layer_swap_room(struct layer_swap *s, const struct matrix *w, const struct format *type, uint8_t **panels,
                    struct lathe_err *err)
{
    struct swapped_matrix x = {.n_bytes =
                                   (size_t)w->n_panel * panel_bytes((enum format_id)type->id, w->n_col)};
    TRY(new_file_map(s->folder, x.n_bytes, "a matrix that is rounded", &x.panels, err));
    s->matrix[s->n_matrix++] = x;
    *panels = x.panels;
    return 0;
}

int layer_swap_matrix(struct layer_swap *s, struct matrix *w, const struct format *type,
                      struct lathe_err *err)
{
    struct swapped_matrix *x = &s->matrix[s->n_matrix - 1];
    struct matrix now = *w;
    now.format = (enum format_id)type->id;
    now.panels = x->panels;
    TRY(matrix_choose_kernels(s->model, &now, err));
    x->w = w;
    x->was = *w;
    x->now = now;
    return 0;
}

void layer_swap_apply(struct layer_swap *s)
{
    for (int i = 0; i < s->n_matrix; i++)
        if (s->matrix[i].w)
            *s->matrix[i].w = s->matrix[i].now;
}

void layer_swap_vector(struct layer_swap *s, const float **v, float *now)
{
    s->vector[s->n_vector++] = (struct swapped_vector){v, *v, now};
    *v = now;
}

void layer_swap_back(struct layer_swap *s)
{
    for (int i = 0; i < s->n_matrix; i++) {
        if (s->matrix[i].w)
            *s->matrix[i].w = s->matrix[i].was;
        munmap(s->matrix[i].panels, s->matrix[i].n_bytes);
    }
    for (int i = 0; i < s->n_vector; i++) {
        *s->vector[i].v = s->vector[i].was;
        free(s->vector[i].now);
    }
    s->n_matrix = s->n_vector = 0;
}

void layer_swap_free(struct layer_swap *s)
{
    layer_swap_back(s);
    free(s->matrix);
}
