#!/usr/bin/env python3
"""Verdicts of `lathe eval --log-samples` on IFEval beside those of lm-evaluation-harness on the same answers.

    lathe eval -m MODEL --tasks ifeval.jsonl --log-samples samples.jsonl
    bench/ifeval_beside.py ifeval.jsonl samples.jsonl

Needs lm-eval[ifeval] (PyPI). NLTK's trained sentence splitter is data that comes from its own site; where that is not there, its algorithm without
training stands in, and the script says so."""
import collections, json, sys

import nltk


def use_untrained_splitter():
    """What `punkt_tab` would be loaded for, with no abbreviations known but those of the usual list."""
    from nltk.tokenize import NLTKWordTokenizer
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
    parameters = PunktParameters()
    parameters.abbrev_types = set("mr mrs ms dr prof st jr sr vs gen col capt lt sgt rev hon gov sen rep inc ltd co corp e.g i.e a.m p.m u.s u.k d.c".split())
    splitter, words = PunktSentenceTokenizer(parameters), NLTKWordTokenizer()
    nltk.data.find = lambda *a, **k: True
    nltk.data.load = lambda *a, **k: splitter
    nltk.word_tokenize = lambda text: [w for s in splitter.tokenize(text) for w in words.tokenize(s)]
    print("NLTK's punkt_tab is not here: its algorithm untrained instead")


def main(tasks, samples):
    try:
        nltk.data.find("tokenizers/punkt_tab")
    except LookupError:
        use_untrained_splitter()
    from lm_eval.tasks.ifeval import utils
    items = [json.loads(line) for line in open(tasks)]
    total, differ, items_differ = collections.Counter(), collections.Counter(), set()
    for line in open(samples):
        x = json.loads(line)
        if "loose" not in x:
            continue
        item = items[x["item"]]
        inp = utils.InputExample(key=item["key"], instruction_id_list=item["instruction_id_list"], prompt=item["prompt"],
                                 kwargs=[{k: v for k, v in a.items() if v is not None} for a in item["kwargs"]])
        for kind, judge in (("strict", utils.test_instruction_following_strict), ("loose", utils.test_instruction_following_loose)):
            theirs = judge(inp, x["text"]).follow_instruction_list
            for name, a, b, args in zip(item["instruction_id_list"], x[kind], theirs, item["kwargs"]):
                total[name] += 1
                if (a is not False) != bool(b):
                    differ[name] += 1
                    items_differ.add(x["item"])
                    print(f"item {x['item']} {kind} {name} {args}: lathe {a}, lm-eval {b}: {x['text'][:200]!r}")
    print(f"{sum(total.values())} verdicts, {sum(differ.values())} differ in {len(items_differ)} items:", dict(differ))


if __name__ == "__main__":
    main(*sys.argv[1:])
