"""[notify] in a study file: what it takes, and that a secret never gets as far as the study."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.config.notify import NotifyConfig
from hpo.config.study_config import StudyConfig
from hpo.config.toml_file import dump_study_config, load_study_config
from hpo.errors import SettingsError

SPACE = "[space]\ndim = { low = 16, high = 128 }\n"
RANDOM = "T02K9QX4Z7BVB81LMN3PRS5W"


def load(folder: Path, table: str) -> StudyConfig:
    path = folder / "study.toml"
    path.write_text(f"{SPACE}[notify]\n{table}", encoding="utf-8")
    return load_study_config(path, {})


@pytest.mark.parametrize(
    "table",
    [
        'url = "$HPO_WEBHOOK"',
        'url = "https://hooks.example.org/studies?room=7"',
        'url = "https://me:$PASSWORD@hooks.example.org/hook"',
        'url = "https://hooks.example.org/hook?token=${HOOK_TOKEN}"',
        'url = "https://hooks.example.org/"\nheaders.Authorization = "Bearer $TOKEN"',
        'command = ["notify-send", "a study"]\non = ["stopped", "failed"]',
        "command = ['sh', '-c', 'curl -H \"Authorization: Bearer $TOKEN\" https://host/hook']",
        'command = ["/opt/python3-env/tell-v2", "--token-file", "~/k.txt", "--author=me: 1"]',
        'command = ["./tell.py", "--channel", "studies-that-ended-2026", "http://[::1/a?n=1"]',
    ],
)
def test_a_table_is_kept_as_it_is_written(tmp_path: Path, table: str) -> None:
    config = load(tmp_path, table)
    again = tmp_path / "again.toml"
    again.write_text(dump_study_config(config), encoding="utf-8")
    assert load_study_config(again, {}).notify == config.notify != NotifyConfig()
    assert table.partition('"')[2].partition('"')[0] in again.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('url = "ftp://host/hook"', "url must begin with http:// or https://, or name a variable"),
        ('url = "https://host/$"', "url has a $ before no name"),
        ('url = "https://me:SECRET@host/hook"', "url looks as if it held a secret"),
        ('url = "https://SECRET@host/hook"', "url looks as if it held a secret"),
        ('url = "https://host/hook?api_key=SECRET"', "url looks as if it held a secret"),
        (f'url = "https://host/services/{RANDOM}"', "url looks as if it held a secret"),
        ('headers.X-Token = "SECRET"', "headers go with a url"),
        ('url = "$URL"\nheaders.Authorization = "Bearer SECRET"', "headers.Authorization looks"),
        (f'url = "$URL"\nheaders.X-Id = "{RANDOM}"', "headers.X-Id looks like a secret"),
        ('url = "$URL"\nheaders."X Y" = "1"', "headers.X Y: no header of HTTP"),
        ('command = [""]', "command begins with no program"),
        ('command = ["curl", "-H", "Authorization: Bearer SECRET"]', "command: word 3 looks as"),
        ("command = ['sh', '-c', 'curl -H \"X-Token: SECRET\" $URL']", "command: word 3 looks as"),
        ('command = ["tell", "--token=SECRET"]', "command: word 2 looks as if it held a secret"),
        ('command = ["tell", "--api-key", "SECRET"]', "command: word 3 looks as if it held a"),
        ('command = ["curl", "https://me:SECRET@host/hook"]', "command: word 2 looks as if it"),
        (f'command = ["curl", "https://host/services/{RANDOM}"]', "command: word 2 looks as"),
        (f'command = ["tell", "xoxb-1-{RANDOM}"]', "command: word 2 looks as if it held a"),
        ('command = ["curl", "-u", "me:SECRET", "$URL"]', "command: word 3 looks as if it held a"),
        ("command = ['sh', '-c', 'curl -u me:SECRET $URL']", "command: word 3 looks as if it"),
        ('command = ["curl", "--user=me:SECRET"]', "command: word 2 looks as if it held a"),
        ("""command = ['sh', '-c', "curl -sSu 'me:SECRET' $URL"]""", "command: word 3 looks as"),
        ("command = ['sh', '-c', 'curl -u $ME:SECRET $URL']", "command: word 3 looks as if it"),
        ("command = ['/usr/bin/curl', '-s', '-u', ':SECRET']", "command: word 4 looks as if it"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_and_secrets_are_refused_without_repeating_them(
    tmp_path: Path, table: str, words: str
) -> None:
    with pytest.raises(SettingsError, match="notify") as error:
        load(tmp_path, table)
    assert words in str(error.value)
    assert "SECRET" not in str(error.value)
    assert RANDOM not in str(error.value)


@pytest.mark.parametrize(
    "command",
    [
        """['sh', '-c', 'TOKEN=$(cat /run/secrets/token) notify.sh']""",
        """['sh', '-c', 'curl -H "Authorization: Bearer ${TOKEN:-none}" $URL']""",
        """['cmd', '/c', 'curl -H "Authorization: Bearer %TOKEN%" %URL%']""",
        """['notify.py', '--api-key', '/run/secrets/api_key']""",
        f"""['docker', 'run', 'img@sha256:{"0a" * 32}']""",
        """['docker', 'run', '-u', 'root:root', 'curlimages/curl', '$URL']""",
        """['sh', '-c', 'docker run -u 1000:1000 curlimages/curl $URL']""",
        """['sh', '-c', 'curl -d "$(date -u +%H:%M:%S)" $URL']""",
        """['curl', '-o', '/tmp/a:b', '$URL']""",
        """['sh', '-c', 'curl -u me:$PASSWORD $URL']""",
    ],
)
def test_what_the_command_looks_up_is_no_secret(tmp_path: Path, command: str) -> None:
    assert load(tmp_path, f"command = {command}").notify.command


def test_an_unknown_event_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"notify\.on\.0: .*'finished', 'stopped', 'failed'"):
        load(tmp_path, 'url = "$URL"\non = ["done"]')


def test_a_stored_command_is_read_as_it_is() -> None:
    words = ("curl", "-H", "Authorization: Bearer x")
    assert NotifyConfig.model_validate({"command": words}).command == words
