/* The HTTP library, loaded when a server starts. */
#include "server/mhd.h"
#include "base/library.h"

struct mhd mhd;

static const struct library_call calls[] = {
#define F(name) {"MHD_" #name, (void **)&mhd.name},
    MHD_FUNCTIONS(F)
#undef F
};
static const struct library library = {.file = "libmicrohttpd.so.12",
                                       .package = "libmicrohttpd12",
                                       .wanted = "the server needs",
                                       .calls = calls,
                                       .n_call = sizeof calls / sizeof *calls};

int mhd_load(struct lathe_err *err)
{
    return library_load(&library, err);
}
