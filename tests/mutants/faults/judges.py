"""Faults between a pair of answers and its votes."""

from mutants.fault import Fault

QUESTION = ("tests/feedback/test_question.py",)
REMOTE = ("tests/feedback/test_remote.py",)
KEY = ("tests/feedback/test_judge_key.py",)
VERDICTS = ("tests/feedback/test_verdicts.py",)
JUDGES = ("tests/feedback/test_judges.py",)
PATIENCE = ("tests/feedback/test_patience.py",)
LOCAL = ("tests/feedback/test_local.py",)
OPENING = ("tests/feedback/test_opening.py",)

FAULTS = (
    Fault(
        "both presentations of a pair show the same answer first",
        "feedback/judge.py",
        "return (0, 1) if order == 0 else (1, 0)",
        "return (0, 1)",
        JUDGES,
    ),
    Fault(
        "every request of a judge has the same code",
        "feedback/question.py",
        "return secrets.token_hex(6)",
        'return "0123456789ab"',
        QUESTION,
    ),
    Fault(
        "a code that a judged text holds is taken",
        "feedback/question.py",
        "while any(nonce in text for text in texts):",
        "while not nonce:",
        QUESTION,
    ),
    Fault(
        "a verdict may stand anywhere in a reply",
        "feedback/question.py",
        "if not lines or not pattern.fullmatch(lines[-1]) or len(set(found)) != 1:",
        "if len(set(found)) != 1:",
        QUESTION,
    ),
    Fault(
        "a verdict needs no code",
        "feedback/question.py",
        'rf"VERDICT {re.escape(nonce)}: (',
        'rf"VERDICT.*: (',
        REMOTE,
    ),
    Fault(
        "the key is left in what a server repeats",
        "feedback/remote.py",
        'return text.replace(key, "[key]") if key else text',
        "return text",
        KEY,
    ),
    Fault(
        "a judge without a named key is sent the one of another server",
        "feedback/remote.py",
        'if self.config.key_variable else openai.Omit()',
        'if client.api_key else openai.Omit()',
        KEY,
    ),
    Fault(
        "a question that came to nothing is never asked again",
        "feedback/verdicts.py",
        'KEPT: tuple[Outcome, ...] = ("verdict", "unreadable", "refused", "cut")',
        'KEPT: tuple[Outcome, ...] = ("verdict", "unreadable", "refused", "cut", "unanswered", "rejected")',
        REMOTE,
    ),
    Fault(
        "a reply that was cut off counts where it ends like a verdict",
        "feedback/remote.py",
        'if finish == "length":',
        'if finish == "length" and not content:',
        REMOTE,
    ),
    Fault(
        "a refusal of the judge is read as its reply",
        "feedback/remote.py",
        'if refusal or finish == "content_filter":',
        'if finish == "content_filter":',
        REMOTE,
    ),
    Fault(
        "attempts that fail are not paid for",
        "feedback/remote.py",
        "            attempt += 1\n            self.budget.take_request()\n",
        "            attempt += 1\n            if attempt == 1:\n                self.budget.take_request()\n",
        REMOTE,
    ),
    Fault(
        "what is under way when a run is interrupted is lost",
        "feedback/threads.py",
        "                    interrupt = raised\n                    stop.set()\n                    continue\n",
        "                    raise\n",
        REMOTE,
    ),
    Fault(
        "a judge with another temperature finds the replies of the first",
        "feedback/remote.py",
        '"temperature": config.temperature,\n            "seed": config.seed,\n            "max_reply',
        '"seed": config.seed,\n            "max_reply',
        REMOTE,
    ),
    Fault(
        "a reply is counted before it is on the disk",
        "feedback/verdicts.py",
        "                self._file.flush()\n                os.fsync(self._file.fileno())\n            except",
        "                pass\n            except",
        VERDICTS,
    ),
    Fault(
        "a half-written reply stays in the journal",
        "feedback/verdicts.py",
        "file.truncate(len(data) - self.cut_off)",
        "pass",
        VERDICTS,
    ),
    Fault(
        "two runs write to one journal",
        "feedback/verdicts.py",
        "fcntl.LOCK_EX | fcntl.LOCK_NB",
        "fcntl.LOCK_SH | fcntl.LOCK_NB",
        VERDICTS,
    ),
    Fault(
        "a server that says how long to wait is asked sooner",
        "feedback/patience.py",
        "return own if asked is None else asked + luck * self.first / 2",
        "return own if asked is None else min(own, asked)",
        PATIENCE,
    ),
    Fault(
        "recorded votes are not turned with their answers",
        "records.py",
        "return replace(self, left=self.right, right=self.left, order=order)",
        "return self",
        JUDGES,
    ),
    Fault(
        "recorded votes are turned, and the order that they were shown in is not",
        "records.py",
        "order = None if self.order is None else 1 - self.order",
        "order = self.order",
        JUDGES,
    ),
    Fault(
        "a reward that is no number loses",
        "feedback/scores.py",
        "        if not math.isfinite(gap):\n",
        "        if math.isinf(gap):\n",
        JUDGES,
    ),
    Fault(
        "a wrong setting of a judge repeats its value",
        "feedback/settings.py",
        'what = f"judge.{key}: {message}" if key else f"judge: {message}"',
        'what = f"judge.{key}: {message}, not {error.errors()[0][\'input\']}" if key else f"judge: {message}"',
        OPENING,
    ),
    Fault(
        "a local judge counts the mean of a verdict's tokens, which favours long ones",
        "feedback/local.py",
        "float(part.sum())",
        "float(part.mean())",
        LOCAL,
    ),
    Fault(
        "a question to a local judge is cut where it is too long",
        "feedback/local.py",
        'truncation="drop"',
        'truncation="keep_end"',
        LOCAL,
    ),
    Fault(
        "a local judge draws its codes, and says something else in every run",
        "feedback/local.py",
        "return derived_nonce",
        "return lambda _: __import__('secrets').token_hex(6)",
        LOCAL,
    ),
    Fault(
        "replies of a local judge go to other questions",
        "feedback/local.py",
        "yield there[member][0], reply_of(nats, asking)",
        "yield start + member, reply_of(nats, asking)",
        LOCAL,
    ),
    Fault(
        "a local judge takes the least likely verdict",
        "feedback/local.py",
        "    highest = max(nats)\n",
        "    highest = min(nats)\n",
        LOCAL,
    ),
)  # fmt: skip
