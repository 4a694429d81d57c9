"""Run with llama.cpp's own environment: makes a model of random weights, and serves it until standard input ends.

python random_model.py FOLDER PORT. Its words are nonsense; its wire, its template and its counts are the real ones.
"""

import sys
import time
from pathlib import Path
from typing import Any

WINDOW = 65_536
VOCABULARY, WIDTH, LAYERS, HEADS = 2_000, 64, 2, 4
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{%- if tools %}<|im_start|>system\n{%- for tool in tools %}{{ tool | tojson }}\n{%- endfor %}"
    'For a call say <tool_call>{"name": ..., "arguments": ...}</tool_call><|im_end|>\n{%- endif %}'
    "{%- for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content or '' }}"
    "{%- for c in m.tool_calls or [] %}<tool_call>"
    '{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}</tool_call>'
    "{%- endfor %}<|im_end|>\n{%- endfor %}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n{%- endif %}"
)


def tokenizer(texts: list[str]) -> tuple[list[str], list[str]]:
    """Tokens and merges of a small tokenizer, trained on this project's own texts."""
    import json

    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY, special_tokens=list(CONTROL), initial_alphabet=alphabet, show_progress=False
        ),
    )
    told = json.loads(made.to_str())["model"]
    merges = [each if isinstance(each, str) else " ".join(each) for each in told["merges"]]
    return sorted(told["vocab"], key=told["vocab"].get), merges


def write_model(file: Path, texts: list[str]) -> None:
    """A GGUF file."""
    import gguf
    import numpy as np

    tokens, merges = tokenizer(texts)
    random = np.random.default_rng(1)

    def weights(*shape: int, scale: float = 1.0) -> Any:
        return (random.standard_normal(shape) * scale / np.sqrt(shape[-1])).astype(np.float32)

    out = gguf.GGUFWriter(str(file), "llama")
    out.add_context_length(WINDOW)
    out.add_embedding_length(WIDTH)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(WIDTH * 2)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_dimension_count(WIDTH // HEADS)
    out.add_vocab_size(len(tokens))
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("gpt-2")
    out.add_token_list(tokens)
    out.add_token_types([gguf.TokenType.CONTROL if t in CONTROL else gguf.TokenType.NORMAL for t in tokens])
    out.add_token_merges(merges)
    out.add_bos_token_id(0)
    out.add_eos_token_id(2)
    out.add_add_bos_token(False)
    out.add_chat_template(TEMPLATE)
    out.add_tensor("token_embd.weight", weights(len(tokens), WIDTH, scale=3))
    out.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    out.add_tensor("output.weight", weights(len(tokens), WIDTH, scale=2))
    for layer in range(LAYERS):
        name = f"blk.{layer}."
        for norm in ("attn_norm", "ffn_norm"):
            out.add_tensor(f"{name}{norm}.weight", np.ones(WIDTH, np.float32))
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            out.add_tensor(f"{name}{part}.weight", weights(WIDTH, WIDTH))
        out.add_tensor(f"{name}ffn_gate.weight", weights(WIDTH * 2, WIDTH))
        out.add_tensor(f"{name}ffn_up.weight", weights(WIDTH * 2, WIDTH))
        out.add_tensor(f"{name}ffn_down.weight", weights(WIDTH, WIDTH * 2))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def main(folder: Path, port: int) -> None:
    """Serve."""
    import xllamacpp

    file = folder / "random.gguf"
    write_model(file, [str(text) for text in Path(__file__).parents[2].glob("prompts/*.md")])
    given = xllamacpp.CommonParams()
    given.model.path = str(file)
    given.model_alias = {"random"}
    given.hostnames = ["127.0.0.1"]
    given.port = port
    given.n_ctx = WINDOW
    given.n_parallel = 2
    given.use_jinja = True
    given.warmup = False
    given.cpuparams.n_threads = 1
    server = xllamacpp.Server(given)
    print(server.listening_address, flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
