"""Writes tiny random encoders as sentence-transformers and cross-encoders keep them: a BertModel with pooling, or with a classifier."""
import json, random, struct
from pathlib import Path

from hf_folder import safetensors

WORDS = "the a cat dog sat ran on under mat house red blue one two three".split()
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"] + WORDS + ["##s", "##ed", ",", "."]
N_EMBD, N_FF, N_LAYER, N_HEAD, N_POSITION = 32, 64, 2, 4, 80


def special(i):
    return {"id": i, "content": TOKENS[i], "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}


def tokenizer():
    def piece(name, type_id):
        return {"SpecialToken": {"id": name, "type_id": type_id}}
    def text(name, type_id):
        return {"Sequence": {"id": name, "type_id": type_id}}
    post = {"type": "TemplateProcessing", "single": [piece("[CLS]", 0), text("A", 0), piece("[SEP]", 0)],
            "pair": [piece("[CLS]", 0), text("A", 0), piece("[SEP]", 0), text("B", 1), piece("[SEP]", 1)],
            "special_tokens": {t: {"id": t, "ids": [TOKENS.index(t)], "tokens": [t]} for t in ("[CLS]", "[SEP]")}}
    return {"version": "1.0", "truncation": {"max_length": 16, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
            "padding": None, "added_tokens": [special(i) for i in range(4)],
            "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
            "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": post,
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                      "vocab": {t: i for i, t in enumerate(TOKENS)}}}


def config(n_class):
    c = {"architectures": ["BertForSequenceClassification" if n_class else "BertModel"], "model_type": "bert", "hidden_size": N_EMBD,
         "intermediate_size": N_FF, "num_hidden_layers": N_LAYER, "num_attention_heads": N_HEAD, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
         "max_position_embeddings": N_POSITION, "type_vocab_size": 2, "vocab_size": len(TOKENS), "pad_token_id": 0,
         "position_embedding_type": "absolute", "use_cache": True, "transformers_version": "4.46.0"}
    if n_class:
        c.update(id2label={str(i): f"LABEL_{i}" for i in range(n_class)}, label2id={f"LABEL_{i}": i for i in range(n_class)})
    return c


def shapes(n_class):
    out = {"embeddings.word_embeddings.weight": (len(TOKENS), N_EMBD), "embeddings.position_embeddings.weight": (N_POSITION, N_EMBD),
           "embeddings.token_type_embeddings.weight": (2, N_EMBD), "embeddings.LayerNorm.weight": (N_EMBD,), "embeddings.LayerNorm.bias": (N_EMBD,)}
    for i in range(N_LAYER):
        layer = f"encoder.layer.{i}."
        matrices = {"attention.self.query": (N_EMBD, N_EMBD), "attention.self.key": (N_EMBD, N_EMBD), "attention.self.value": (N_EMBD, N_EMBD),
                    "attention.output.dense": (N_EMBD, N_EMBD), "intermediate.dense": (N_FF, N_EMBD), "output.dense": (N_EMBD, N_FF)}
        for name, shape in matrices.items():
            out[layer + name + ".weight"], out[layer + name + ".bias"] = shape, shape[:1]
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            out[layer + name + ".weight"] = out[layer + name + ".bias"] = (N_EMBD,)
    if n_class:
        out = {"bert." + name: shape for name, shape in out.items()}
        out.update({"bert.pooler.dense.weight": (N_EMBD, N_EMBD), "bert.pooler.dense.bias": (N_EMBD,), "classifier.weight": (n_class, N_EMBD),
                    "classifier.bias": (n_class,)})
    return out


def tensors(n_class, seed=7):
    r, out = random.Random(seed), {}
    for name, shape in shapes(n_class).items():
        n = shape[0] * (shape[1] if len(shape) > 1 else 1)
        around, width = (1, 0.2) if "LayerNorm.weight" in name else (0, 0.3) if len(shape) == 1 else (0, 1 / shape[-1] ** 0.5)
        out[name] = ("F32", list(shape), struct.pack(f"<{n}f", *(r.gauss(around, width) for _ in range(n))))
    return out


def write(folder, n_class=0, pooling="mean_tokens", modules=("Transformer", "Pooling", "Normalize"), max_seq_length=64, cfg=None):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(cfg or config(n_class)))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer()))
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 72, "tokenizer_class": "BertTokenizer"}))
    (folder / "model.safetensors").write_bytes(safetensors(tensors(n_class)))
    if n_class:
        return folder
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": max_seq_length, "do_lower_case": False}))
    (folder / "modules.json").write_text(json.dumps([{"idx": i, "name": str(i), "path": "", "type": f"sentence_transformers.models.{m}"}
                                                     for i, m in enumerate(modules)]))
    if pooling:
        (folder / "1_Pooling").mkdir(exist_ok=True)
        modes = {f"pooling_mode_{m}": m in pooling.split("+") for m in ("cls_token", "mean_tokens", "max_tokens", "lasttoken")}
        (folder / "1_Pooling/config.json").write_text(json.dumps({"word_embedding_dimension": N_EMBD, **modes}))
    return folder
