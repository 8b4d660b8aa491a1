"""The modules that a verb imports, because some verbs must start fast."""

import subprocess
import sys
from pathlib import Path

_CODE = (
    "import sys\n"
    "from reservation_worker.cli.main import main\n"
    "try: code = main()\n"
    "except SystemExit as ended: code = ended.code\n"
    "print(*sys.modules, file=sys.stderr)\n"
    "sys.exit(code)\n"
)


def modules_loaded(*arguments: str, cwd: Path, **environ: str) -> set[str]:
    """The names of all modules at the end of the command, which must succeed."""
    done = subprocess.run(
        [sys.executable, "-c", _CODE, *arguments],
        env={"PYTHONPATH": str(Path(__file__).parents[1]), **environ},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(done.stderr.split())
