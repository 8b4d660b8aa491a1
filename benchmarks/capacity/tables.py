"""The plan's results as Markdown tables."""

from benchmarks.capacity.figures import ASSUMED, MEASURED
from benchmarks.capacity.fleet import IN_FLIGHT_LIMIT, Retries
from benchmarks.capacity.inputs import fit, settings, sources, table
from benchmarks.capacity.plan import LEAD, RATE, CapacityPlan, Sizing
from benchmarks.capacity.sale import peak
from benchmarks.capacity.scaler import SYNC
from benchmarks.capacity.simulation import SimulationResult

PAST_THE_PEAK = 600.0
"""Time limit in seconds of runs with retries, some of which never settle everything."""


def loads(plan: CapacityPlan) -> str:
    """The four loads under the shipped settings."""
    named = {
        "headline: 30,000/s for 60 s": plan.headline,
        "the same, as EventBridge delivers it": plan.delivered,
        "stadium: 30,000/s until 60,000 seats are held": plan.stadium,
        "everyday: 20/s to 1,000/s and back in 20 minutes": plan.everyday,
    }
    rows = [
        (name, f"{sum(load):,}", f"{peak(load):,.0f}", *_outcome(plan.run(load, plan.shipped)))
        for name, load in named.items()
    ]
    return table(("load", "events", "peak/s", *_OUTCOME), rows)


def headline(plan: CapacityPlan) -> str:
    """The effect of each change on the headline."""
    base = plan.shipped
    lighter = base.with_cpu_per_event(1.0)
    full = {"cpu": 1.0}
    sizings = {
        "as shipped": base,
        "20 threads": base.change(concurrency=20),
        "CPU limit 1": base.change(**full),
        "CPU limit 1, 100 pods": base.change(most=100, **full),
        "100 pods": base.change(most=100),
        "150 pods": base.change(most=150),
        "1.0 ms an event": lighter,
        "1.0 ms an event, 100 threads, CPU limit 1": lighter.change(concurrency=100, **full),
    }
    rows = [
        _headline_row(name, sizing, plan.run(plan.headline, sizing))
        for name, sizing in sizings.items()
    ]
    warm = base.change(least=base.scaling.most)
    announced = plan.run(plan.announced, warm)
    rows.append(_headline_row("50 pods before the sale", warm, announced, LEAD))
    wide = warm.change(**full)
    announced = plan.run(plan.announced, wide)
    rows.append(_headline_row("the same, CPU limit 1", wide, announced, LEAD))
    nodes = plan.run(plan.headline, base, schedule=90)
    rows.append(_headline_row("as shipped, each pod waits 90 s for a node", base, nodes))
    return table(("change", "pod events/s", "pods for 30,000/s", *_OUTCOME), rows)


def queue_length(plan: CapacityPlan) -> str:
    """The effect of queueLength, mostly at everyday loads: a flash sale needs every pod anyway."""
    wide = plan.shipped.change(cpu=1.0)
    rows = []
    for length in (5, 10, 20, 30, 50, 100, 500):
        everyday, stadium, many = (
            plan.run(load, sizing.change(queue_length=length))
            for load, sizing in (
                (plan.everyday, plan.shipped),
                (plan.stadium, plan.shipped),
                (plan.everyday, wide),
            )
        )
        rows.append((length, *_brief(everyday), *_brief(stadium), *_brief(many)))
    head = ["queueLength"]
    for load in ("everyday", "stadium", "everyday, CPU limit 1"):
        head += [f"{load}: P99.9, worst", "most pods", "pod-hours"]
    return table(head, rows)


def pods(plan: CapacityPlan) -> str:
    """Threads and CPU limit together, with quick and with slow neighbours."""
    rows = []
    for cpu in (0.25, 0.5, 1.0):
        for concurrency in (10, 20, 50, 100):
            sizing = plan.shipped.change(cpu=cpu, concurrency=concurrency)
            slow = sizing.change(neighbours=0.4)
            rows.append(
                (
                    f"{cpu:g}",
                    concurrency,
                    f"{sizing.pod.rate:.0f}",
                    f"{sizing.pod.rate * sizing.pod.worker.cpu_per_event / cpu * 100:.0f} %",
                    f"{plan.run(plan.headline, sizing).delay(0.95):.0f} s",
                    f"{slow.pod.rate:.0f}",
                    f"{plan.run(plan.headline, slow).delay(0.95):.0f} s",
                )
            )
    head = ("CPU limit", "threads", "events/s a pod", "of its limit", "headline P95")
    return table((*head, "events/s, neighbours 200 + 200 ms", "headline P95"), rows)


def in_flight(plan: CapacityPlan) -> str:
    """When the limit of messages in flight is reached: only by messages given back with a delay."""
    rows = []
    for share, delay in (
        (0.0, 0),
        (0.1, 16),
        (0.5, 16),
        (0.1, 60),
        (0.2, 60),
        (0.5, 60),
        (0.2, 300),
    ):
        retries = Retries(share, delay) if share else None
        run = plan.run(plan.headline, plan.shipped, retries, time_limit=PAST_THE_PEAK)
        hit = "never" if run.limit_hit_at is None else f"after {run.limit_hit_at:.0f} s"
        rows.append((f"{share * 100:.0f} %", f"{delay} s", f"{run.most_in_flight:,}", hit))
    head = ("tries given back", "for", "most in flight", f"{IN_FLIGHT_LIMIT:,} hit")
    tries = plan.shipped.scaling.most * plan.shipped.pod.rate
    return (
        f"{table(head, rows)}\n\n{plan.shipped.scaling.most} pods make {tries:,.0f} tries a second:"
        f" the limit is hit once share times delay exceeds {IN_FLIGHT_LIMIT / tries:.1f} s."
    )


def month(plan: CapacityPlan) -> str:
    """The costs of a month."""
    a, cpu = plan.assumed, plan.shipped.pod.cpu
    sale, day = (plan.run(load, plan.shipped) for load in (plan.headline, plan.everyday))
    sales, days = a["sales_a_month"], a["days_of_everyday"]
    million = a["usd_per_million_sqs_requests"] / 1e6
    rows: list[tuple[str, str, str]] = []
    costs: list[float] = []

    def add(what: str, number: float, unit: str, price: float) -> None:
        rows.append((what, f"{number:,.0f} {unit}", f"{number * price:,.2f}"))
        costs.append(number * price)

    for name, run, times in (("sales", sale, sales), ("everyday waves", day, days)):
        events = times * run.settled
        idle = times * run.idle_pod_seconds / a["receive_wait_seconds"]
        hours = times * run.pod_seconds / 3600
        add(f"{times:g} {name}: sent to SQS", events, "requests", million)
        calls = events * plan.worker.calls_per_event + idle
        add(f"{times:g} {name}: received and deleted", calls, "requests", million)
        add(f"{times:g} {name}: pods", hours, "pod-hours", a["usd_per_vcpu_hour"] * cpu)
        price = a["usd_per_million_events_published"] / 1e6
        add(f"{times:g} {name}: published to EventBridge (the producers')", events, "events", price)
    seconds = 30 * 86_400
    looks = seconds / plan.shipped.scaling.polling + seconds / SYNC
    add("KEDA asks for the depth, at most", looks, "requests", million)
    rows.append(("**together**", "", f"**{sum(costs):,.2f}**"))
    always = 30 * 24 * a["usd_per_vcpu_hour"] * cpu
    rows.append(
        (
            "a trickle that never stops keeps one pod: instead of none",
            "720 pod-hours",
            f"{always:,.2f}",
        )
    )
    return table(("what", "a month", "USD"), rows)


_OUTCOME = (
    "delay P50",
    "P95",
    "worst",
    "longest backlog",
    "most pods",
    "settled after",
    "pod-hours",
)


def _outcome(run: SimulationResult, lead: float = 0.0) -> tuple[str, ...]:
    delays = (f"{run.delay(share):.1f} s" for share in (0.5, 0.95, 1.0))
    end = f"{run.settled_at - lead:.0f} s"
    return (
        *delays,
        f"{run.most_waiting:,}",
        str(run.most_pods),
        end,
        f"{run.pod_seconds / 3600:.2f}",
    )


def _headline_row(
    name: str, sizing: Sizing, run: SimulationResult, lead: float = 0.0
) -> tuple[str, ...]:
    needed = -(-RATE // sizing.pod.rate)
    return (name, f"{sizing.pod.rate:.0f}", f"{needed:.0f}", *_outcome(run, lead))


def _brief(run: SimulationResult) -> tuple[str, ...]:
    tail = f"{run.delay(0.999):.1f} s, {run.delay(1.0):.1f} s"
    return (tail, str(run.most_pods), f"{run.pod_seconds / 3600:.2f}")


def all_tables(plan: CapacityPlan) -> dict[str, str]:
    """Every table by its name in docs/capacity.md."""
    return {
        "measured": sources(MEASURED),
        "assumptions": sources(ASSUMED),
        "fit": fit(plan),
        **{
            make.__name__.replace("_", "-"): make(plan)
            for make in (settings, loads, headline, queue_length, pods, in_flight, month)
        },
    }
