/* Instructions that this CPU has not, carried out in the handler of SIGILL: the tiles of AMX by their model, and VEX-encoded
 * vpdpbusd. Kernels for them then run as they were compiled, on any x86-64 CPU that has the rest. */
#ifndef LATHE_TESTS_KERN_EMULATE_H
#define LATHE_TESTS_KERN_EMULATE_H
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>
#include "kern/x86/amx_model.h"

static struct amx_model emulated_tiles;
static int n_emulated;

/* A three-byte VEX instruction of map 0F 38. */
struct vex {
    int pp, opcode, reg, vvvv, rm; /* rm: -1 with a memory operand */
    uintptr_t base;                /* its address, without what the index register adds */
    intptr_t index;
    const uint8_t *end;
};

static uintptr_t general(const ucontext_t *u, int number)
{
    static const int order[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    return (uintptr_t)u->uc_mcontext.gregs[order[number]];
}

static void memory_operand(const ucontext_t *u, const uint8_t *at, int x, int b, struct vex *v)
{
    int mod = at[-1] >> 6, rm = at[-1] & 7, n_disp = mod == 1 ? 1 : mod == 2 ? 4 : 0;
    bool relative = mod == 0 && rm == 5;
    v->rm = -1;
    if (rm == 4) {
        int sib = *at++, index = (sib >> 3 & 7) | x << 3;
        if (index != 4)
            v->index = (intptr_t)(general(u, index) << (sib >> 6));
        if (mod == 0 && (sib & 7) == 5)
            n_disp = 4;
        else
            v->base = general(u, (sib & 7) | b << 3);
    } else if (relative) {
        n_disp = 4;
    } else {
        v->base = general(u, rm | b << 3);
    }
    int32_t disp = 0;
    memcpy(&disp, at, (size_t)n_disp);
    v->end = at + n_disp;
    v->base += (uintptr_t)(intptr_t)(n_disp == 1 ? (int8_t)disp : disp) + (relative ? (uintptr_t)v->end : 0);
}

static bool decode(const ucontext_t *u, struct vex *v)
{
    const uint8_t *at = (const uint8_t *)u->uc_mcontext.gregs[REG_RIP];
    *v = (struct vex){0};
    if (at[0] != 0xc4 || (at[1] & 31) != 2)
        return false;
    int r = !(at[1] & 0x80), x = !(at[1] & 0x40), b = !(at[1] & 0x20), modrm = at[4];
    v->pp = at[2] & 3;
    v->vvvv = ~at[2] >> 3 & 15;
    v->opcode = at[3];
    v->reg = (modrm >> 3 & 7) | r << 3;
    if (modrm >> 6 == 3) {
        v->rm = (modrm & 7) | b << 3;
        v->end = at + 5;
    } else {
        memory_operand(u, at + 5, x, b, v);
    }
    return true;
}

enum { PP_NONE, PP_66, PP_F3, PP_F2 };

static bool run_tiles(const struct vex *v)
{
    struct amx_model *m = &emulated_tiles;
    switch (v->opcode << 4 | v->pp) {
    case 0x490 | PP_NONE:
        if (v->rm < 0)
            amx_model_config(m, (const struct amx_config *)(v->base + (uintptr_t)v->index));
        else
            amx_model_release(m);
        return true;
    case 0x490 | PP_F2:
        amx_model_zero(m, v->reg);
        return true;
    case 0x4b0 | PP_F2:
        amx_model_load(m, v->reg, (const void *)v->base, v->index);
        return true;
    case 0x4b0 | PP_F3:
        amx_model_store(m, v->reg, (void *)v->base, v->index);
        return true;
    case 0x5e0 | PP_F3:
        amx_model_dpbsud(m, v->reg, v->rm, v->vvvv);
        return true;
    case 0x5c0 | PP_F3:
        amx_model_dpbf16ps(m, v->reg, v->rm, v->vvvv);
        return true;
    default:
        return false;
    }
}

/* The two halves of a vector register, where the handler's return will take them from. */
static uint8_t *half_of(const ucontext_t *u, int number, int half)
{
    enum { UPPER_HALVES = 576 }; /* of the standard form of XSAVE */
    uint8_t *state = (uint8_t *)u->uc_mcontext.fpregs;
    return half ? state + UPPER_HALVES + 16 * number : (uint8_t *)u->uc_mcontext.fpregs->_xmm[number].element;
}

static bool run_dots(const ucontext_t *u, const struct vex *v)
{
    if (v->opcode != 0x50 || v->pp != PP_66)
        return false;
    for (int i = 0; i < 8; i++) {
        uint8_t a[4];
        int8_t b[4];
        int32_t sum;
        memcpy(&sum, half_of(u, v->reg, i / 4) + i % 4 * 4, 4);
        memcpy(a, half_of(u, v->vvvv, i / 4) + i % 4 * 4, 4);
        memcpy(b,
               v->rm < 0 ? (const uint8_t *)(v->base + (uintptr_t)v->index) + 4 * i
                         : half_of(u, v->rm, i / 4) + i % 4 * 4,
               4);
        for (int k = 0; k < 4; k++)
            sum += a[k] * b[k];
        memcpy(half_of(u, v->reg, i / 4) + i % 4 * 4, &sum, 4);
    }
    return true;
}

static void on_illegal(int sig, siginfo_t *info, void *context)
{
    ucontext_t *u = context;
    struct vex v;
    if (!decode(u, &v) || !(run_tiles(&v) || run_dots(u, &v))) {
        static const char words[] = "an illegal instruction that nobody emulates\n";
        _exit(write(2, words, sizeof words - 1) > 0 ? 99 : 98);
    }
    n_emulated++;
    u->uc_mcontext.gregs[REG_RIP] = (greg_t)v.end;
}

static inline void emulate(void)
{
    struct sigaction sa = {.sa_sigaction = on_illegal, .sa_flags = SA_SIGINFO};
    sigaction(SIGILL, &sa, NULL);
}
#endif
