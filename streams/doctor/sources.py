"""Checks of the hospital's feeds: the site file, who is silent or paused, codes nobody mapped."""

from __future__ import annotations

from redis import Redis
from redis.exceptions import RedisError

from connectors import feed_state, unmapped
from connectors.clock import iso
from connectors.site import Site, SiteError
from streams.doctor.finding import Findings, ok, problem, warning
from streams.doctor.machine import local_ports
from streams.settings import Settings

MOST_UNMAPPED = 10  # codes that doctor names


def site_file(settings: Settings) -> Findings:
    """Whether the site file can be used, when one is named."""
    file = settings.sequencer.site
    if file is None:
        return
    try:
        found = Site(settings.sequencer, settings.identity).feeds
    except SiteError as error:
        yield problem("sources", f"{error}: correct it (docs/sources.md).")
    else:
        yield ok("sources", f"{file} is right: {len(found)} sources")


def alarms(settings: Settings) -> Findings:
    """Sources that have fallen silent or are paused."""
    redis = _redis(settings)
    if redis is None:
        return
    try:
        silent, paused = feed_state.silent(redis), feed_state.paused(redis)
    except RedisError:
        return  # `servers.redis` has said so
    for source, since in sorted(silent.items()):
        yield problem(
            "sources",
            f"{source} has fallen silent, nothing came since {iso(since)}: ask its team whether "
            "the interface is stopped, or correct expected_per_hour in the site file.",
        )
    for source, pause in sorted(paused.items()):
        yield problem(
            "sources",
            f"{source} is paused since {iso(pause.since)}, {pause.quarantined} of {pause.of} "
            f"messages could not be understood: see `tocsin quarantine list`, mend the cause, "
            "then `tocsin sources resume`.",
        )


def unmapped_codes(settings: Settings) -> Findings:
    """Codes of the site's own that no mapping names, by volume."""
    redis = _redis(settings)
    if redis is None:
        return
    try:
        found = unmapped.most_frequent(redis, MOST_UNMAPPED)
    except RedisError:
        return  # `servers.redis` has said so
    for one in found:
        where = f"{one.source or '?'}: {one.system or 'no system'} {one.code}"
        unit = f" in {one.unit}" if one.unit else ""
        yield warning(
            "codes",
            f"{where}{unit} came {one.seen} times and no model can read it: name its LOINC in the "
            "source's file of codes (docs/sources.md).",
        )


def _redis(settings: Settings) -> Redis | None:
    """The named one, or the one that `up` started here."""
    local = local_ports(settings).get("redis")
    url = settings.redis.url.get_secret_value() or (f"redis://127.0.0.1:{local}/0" if local else "")
    return Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) if url else None
