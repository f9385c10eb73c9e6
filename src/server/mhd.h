/* The HTTP library, loaded when a server starts: linked, it and its fourteen libraries would cost every start of the
 * program 1.3 ms. Functions are called as mhd.start_daemon(...). */
#ifndef LATHE_SERVER_MHD_H
#define LATHE_SERVER_MHD_H
#include <microhttpd.h>
#include "base/err.h"

#define MHD_FUNCTIONS(F)             \
    F(add_response_header)           \
    F(create_response_from_buffer)   \
    F(create_response_from_callback) \
    F(destroy_response)              \
    F(get_connection_info)           \
    F(get_daemon_info)               \
    F(lookup_connection_value)       \
    F(queue_response)                \
    F(resume_connection)             \
    F(start_daemon)                  \
    F(stop_daemon)                   \
    F(suspend_connection)

struct mhd {
#define F(name) __typeof__(MHD_##name) *name;
    MHD_FUNCTIONS(F)
#undef F
};
extern struct mhd mhd;

/* UNSUPPORTED if the library is not there or lacks a function. */
int mhd_load(struct lathe_err *err);
#endif
