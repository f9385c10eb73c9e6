/* What a unit test includes: cmocka and the headers that it wants before it. */
#ifndef LATHE_TESTS_UNIT_H
#define LATHE_TESTS_UNIT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#endif
