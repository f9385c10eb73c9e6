/* The smallest file whose measured divergence is within a bound, when each try costs a file: which divergence to predict for the next. */
#ifndef LATHE_SHAPE_KL_SEARCH_H
#define LATHE_SHAPE_KL_SEARCH_H
#include <stdbool.h>

enum { KL_SEARCH_MOST = 6 };

struct kl_search {
    double bound;
    double aim;          /* what is to be predicted now; begins as the bound */
    double fits, misses; /* largest aim that was within the bound, least that was not; 0: none yet */
    double measured;     /* with aim `fits` */
    int n_try;
    bool known; /* the next try is that of `fits` once more, and the last */
    bool done;  /* the newest try is the one */
};

struct kl_search kl_search_begin(double bound);
/* The try with s->aim measured so much; it was the smallest of all there are, or the largest. False: none fits. */
bool kl_search_next(struct kl_search *s, double measured, bool smallest, bool largest);
#endif
