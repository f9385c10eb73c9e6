/* Request bodies in memory, and what serving takes besides the engine. */
#include "server/bodies.h"
#include "server/server.h"

enum {
    LIBRARY_BYTES =
        8 << 20, /* the HTTP library and those that it loads, code that was not touched before, heaps */
    EACH_LEAST = 256 << 10,
    EACH_MOST = 32 << 20,
    EACH_SHARE = 2048, /* of the memory: one body */
    ALL_TIMES = 4,     /* largest bodies that may be held at once */
    GROWTH = 2,        /* a buffer has up to twice the room of what is in it */
    PARSED_TIMES = 24, /* token ids as JSON take that many times their text, by what a number is kept in, */
    PARSERS = 2,       /* in as many HTTP threads at once */
    CHATS_LEAST = 1 << 20,
    CHATS_MOST = 16 << 20,
    CHATS_SHARE = 256 /* of the memory: conversations that are remembered */
};

void bodies_init(struct bodies *b, uint64_t memory_bytes)
{
    uint64_t n = memory_bytes ? memory_bytes / EACH_SHARE : EACH_MOST;
    b->each = n < EACH_LEAST ? EACH_LEAST : n > EACH_MOST ? EACH_MOST : n;
    b->all = ALL_TIMES * b->each;
    b->n_now = 0;
}

bool bodies_put(struct bodies *b, struct buf *body, const char *part, size_t n)
{
    if (atomic_fetch_add(&b->n_now, n) + n > b->all) {
        atomic_fetch_sub(&b->n_now, n);
        return false;
    }
    if (buf_put(body, part, n)) /* past its own limit, and from now on full */
        atomic_fetch_sub(&b->n_now, n);
    return true;
}

void bodies_drop(struct bodies *b, struct buf *body)
{
    atomic_fetch_sub(&b->n_now, body->n);
    buf_free(body);
}

uint64_t bodies_chat_cache_bytes(uint64_t memory_bytes)
{
    uint64_t n = memory_bytes ? memory_bytes / CHATS_SHARE : CHATS_MOST;
    return n < CHATS_LEAST ? CHATS_LEAST : n > CHATS_MOST ? CHATS_MOST : n;
}

uint64_t server_bytes(uint64_t memory_bytes)
{
    struct bodies b;
    bodies_init(&b, memory_bytes);
    return LIBRARY_BYTES + GROWTH * b.all + (uint64_t)PARSERS * PARSED_TIMES * b.each +
           bodies_chat_cache_bytes(memory_bytes);
}
