"""`python -m schemawire.service`: the service alone, configured by the environment, logging to standard error."""

import sys

from schemawire.service.signals import end_when_told


def main() -> int:
    """Serve until told to stop; return the exit code."""
    end_when_told()
    from schemawire.errors import SchemawireError
    from schemawire.service.logs import log, log_to_stream
    from schemawire.service.loops import run
    from schemawire.service.server import serve
    from schemawire.settings.service import ServiceSettings

    log_to_stream()
    try:
        run(serve(ServiceSettings.load()))
    except SchemawireError as error:
        log.error("service cannot run", code=error.code, reason=error.message, fix=error.fix)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
