/* The access log: a line for each request. */
#ifndef LATHE_SERVER_REQUEST_LOG_H
#define LATHE_SERVER_REQUEST_LOG_H
#include "server/http.h"

/* Logs a call that has ended, if that is wanted. Of the body and the key nothing is put, but for the key's name, unless prompts are
 * to be logged. */
void request_log(const struct call *c, const struct account *took);
#endif
