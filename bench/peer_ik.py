#!/usr/bin/env python3
"""Speed of ik_llama.cpp on a GGUF file, through its Python binding, as one JSON line.

  pip install ik-llama-cpp-python==0.1.5
  peer_ik.py MODEL -t 2 -p 512 -n 128 -r 5

IK_LLAMA_CPP_LIB_PATH names a libllama.so built for this CPU (cmake -DGGML_NATIVE=ON on the package's sources), which is faster than
the wheel's. Medians of prefill (pp) and decode (tg) in tokens/s; flash attention is on.
"""
import argparse, json, statistics, time
import ik_llama_cpp._ctypes_api as L


def batch(ids, position):
    b = L.llama_batch_init(len(ids), 0, 1)
    b.n_tokens = len(ids)
    for i, token in enumerate(ids):
        b.token[i], b.pos[i], b.n_seq_id[i], b.logits[i] = token, position + i, 1, i == len(ids) - 1
        b.seq_id[i][0] = 0
    return b


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    for flag, default in (("-t", 2), ("-p", 512), ("-n", 128), ("-r", 5)):
        p.add_argument(flag, type=int, default=default)
    a = p.parse_args()
    L.llama_backend_init()
    model = L.llama_model_load_from_file(a.model.encode(), L.llama_model_default_params())
    params = L.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch, params.flash_attn = a.p + a.n + 8, max(a.p, 512), 512, True
    params.n_threads = params.n_threads_batch = a.t
    context = L.llama_init_from_model(model, params)
    n_vocab = L.llama_vocab_n_tokens(L.llama_model_get_vocab(model))
    pp, tg = [], []
    for r in range(a.r + 1):
        L.llama_kv_cache_clear(context)
        prompt = batch([(7919 * i + 13 * r) % (n_vocab - 300) + 200 for i in range(a.p)], 0)
        t0 = time.perf_counter()
        assert L.llama_decode(context, prompt) == 0
        L.llama_get_logits_ith(context, a.p - 1)
        t1 = time.perf_counter()
        one = batch([300], 0)
        for i in range(a.n):
            one.pos[0] = a.p + i
            assert L.llama_decode(context, one) == 0
            L.llama_get_logits_ith(context, 0)
        t2 = time.perf_counter()
        if r:
            pp.append(a.p / (t1 - t0))
            tg.append(a.n / (t2 - t1))
    print(json.dumps({"engine": "ik_llama.cpp", "pp": round(statistics.median(pp), 1), "tg": round(statistics.median(tg), 1)}))


if __name__ == "__main__":
    main()
