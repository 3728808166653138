"""A template that is run here writes what `apply_chat_template` writes, and the date that it is told."""

from datetime import date

import pytest
from jinja2 import TemplateError
from tiny import CHATML, byte_tokenizer

from prefsmith.data.chat import render_chat, special_tokens
from prefsmith.data.render import Renderer
from prefsmith.records import Completion, Group

DAY = date(2020, 1, 2)
USER, ANSWER = {"role": "user", "content": "a <b> & 'c' \u00fc"}, {"role": "assistant", "content": " d\n"}
CALL = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"x": (1, 2.5)}}}]}
THINKING = {"role": "assistant", "content": "e", "reasoning": "because", "name": None}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"\u00fc": [1, None]}}}]
TEMPLATES = {
    "turns": CHATML,
    "everything": "{{ bos_token }}{{ eos_token }}{{ messages }}{{ tools }}{{ documents }}{{ add_generation_prompt }}",
    "json": "{{ messages | tojson }}{{ (tools or []) | tojson(indent=1) }}",
    "reasoning": "{% for m in messages %}{{ m.reasoning_content }}{{ m.thinking }}{{ m.name is defined }}{% endfor %}",
    "loops": "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m.role }}{% break %}{% endfor %}",
    "blocks": "{% for m in messages %}\n  {% generation %}{{ m.content }}{% endgeneration %}\n{% endfor %}\n",
    "namespace": "{% set n = namespace(i=0) %}{% for m in messages %}{% set n.i = n.i + 1 %}{% endfor %}{{ n.i }}",
}


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("messages", [[USER], [USER, ANSWER], [USER, CALL, ANSWER], [USER, THINKING]])
@pytest.mark.parametrize("tools", [None, TOOLS])
def test_it_writes_what_the_library_writes(name, messages, tools):
    tokenizer = byte_tokenizer(chat_template=TEMPLATES[name])
    for prompt_only in (True, False):
        expected = tokenizer.apply_chat_template(
            messages, tools=tools, tokenize=False, add_generation_prompt=prompt_only
        )
        special = special_tokens(tokenizer)
        made = render_chat(TEMPLATES[name], messages, tools, prompt_only=prompt_only, special=special, today=DAY)
        assert made == expected


@pytest.mark.parametrize(
    ("template", "error"),
    [
        ("{{ raise_exception('no') }}", TemplateError),
        ("{% if %}", TemplateError),
        ("{{ messages[0].content + 1 }}", TypeError),
    ],
)
def test_it_refuses_as_the_library_does(template, error):
    with pytest.raises(error):
        render_chat(template, [USER], None, prompt_only=True, special={}, today=DAY)


def test_no_message_is_refused():
    with pytest.raises(ValueError, match="no message"):
        render_chat(CHATML, [], None, prompt_only=True, special={}, today=DAY)


def test_the_day_is_the_one_that_is_told():
    template = "{{ strftime_now('%d %b %Y') }} {% for m in messages %}{{ m.content }}{% endfor %}"
    renderer = Renderer(byte_tokenizer(chat_template=template), today=DAY)
    rendered = renderer.render(Group("g", "rows:1", "a", (Completion("b"),)))
    assert rendered.prompt == "02 Jan 2020 a" and rendered.texts == ("02 Jan 2020 ab",) and renderer.dated
    assert not Renderer(byte_tokenizer(chat_template=CHATML)).dated and not Renderer(byte_tokenizer()).dated
