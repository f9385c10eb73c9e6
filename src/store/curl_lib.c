/* The HTTP client library, loaded when something is to be got. */
#include "store/curl_lib.h"
#include "base/library.h"

struct curl_lib curl;

static const struct library_call calls[] = {
#define F(name) {"curl_" #name, (void **)&curl.name},
    CURL_FUNCTIONS(F)
#undef F
};
static const struct library library = {.file = "libcurl.so.4",
                                       .package = "libcurl4",
                                       .wanted = "getting models needs",
                                       .calls = calls,
                                       .n_call = sizeof calls / sizeof *calls};

int curl_lib_load(struct lathe_err *err)
{
    if (curl.global_init)
        return 0;
    TRY(library_load(&library, err));
    CURLcode rc = curl.global_init(CURL_GLOBAL_DEFAULT);
    return rc ? err_set(err, LATHE_E_FAILED, "libcurl: %s", curl.easy_strerror(rc)) : 0;
}
