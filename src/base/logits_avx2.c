/* Loops over logits, with the instructions of avx2. */
#define LOGITS_LOOPS logits_loops_avx2
#include "base/logits_loops.h"
