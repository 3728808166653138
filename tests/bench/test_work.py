"""Operations that a step needs at least."""

import pytest
from speed.lengths import Lengths
from speed.model import SMALL, Shape, config
from speed.work import body, least_operations

WIDE = Shape(hidden=64, wide=160, layers=3, heads=4, key_heads=1, tied=False)
BODY, LAYERS = body(SMALL), SMALL.layers


@pytest.mark.parametrize("shape", [SMALL, WIDE])
def test_the_body_is_what_the_model_has(shape):
    from transformers import Qwen2ForCausalLM

    model = Qwen2ForCausalLM(config(64, shape))
    matrices = [each for name, each in model.named_parameters() if "layers" in name and each.dim() == 2]
    assert sum(each.numel() for each in matrices) == body(shape)


def test_a_pair_by_hand():
    pair = Lengths(prompt=2, chosen=1, rejected=3)
    products = 2 * (6 * BODY + 4 * 100 * 256)
    # Pairs of tokens that see each other: 3 in the prompt, 2 + 1 of the chosen one, 6 + 6 of the rejected one.
    attention = 4 * LAYERS * 256 * 18
    assert least_operations([pair], 100, reference=False) == 3 * products + 3.5 * attention
    assert least_operations([pair], 100, reference=True) == 4 * products + 4.5 * attention
    assert least_operations([pair], 100, adapter=True, reference=False) == 2 * products + 3.5 * attention


def test_pairs_add_up():
    pairs = [Lengths(5, 3, 4), Lengths(7, 2, 2)]
    apart = sum(least_operations([each], 50, reference=True) for each in pairs)
    assert least_operations(pairs, 50, reference=True) == pytest.approx(apart)
