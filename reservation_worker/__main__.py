"""`python -m reservation_worker` is the console command."""

from reservation_worker.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
