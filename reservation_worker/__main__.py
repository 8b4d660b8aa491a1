"""`python -m reservation_worker` is the console command."""


def main() -> int:
    """Run the command line; ctrl-C is no error while its modules are imported either."""
    try:
        from reservation_worker.cli.main import main as run  # noqa: PLC0415
    except KeyboardInterrupt:
        return 130
    return run()


if __name__ == "__main__":
    raise SystemExit(main())
