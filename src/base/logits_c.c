/* Loops over logits, for any CPU. */
#define LOGITS_LOOPS logits_loops_c
#include "base/logits_loops.h"
