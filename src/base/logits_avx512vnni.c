/* Loops over logits, with the instructions of avx512vnni. */
#define LOGITS_LOOPS logits_loops_avx512vnni
#include "base/logits_loops.h"
