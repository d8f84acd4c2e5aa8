"""Evidence for the completeness certificate: what the store holds, owes, rejects and suspects.

Promised: facts only; `connector.pull` says what they prove. Never done: opening or committing a transaction.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from connector.pull.certificate import Certificate, ChildProof, ZeroWatch
from connector.pull.windows import Run
from connector.store import crosscheck, doubts, queue
from connector.store.database import Database, column, count, rows
from connector.tables.resources import RESOURCES

# A failed load of entitlements is an empty answer with status 200; usage of the same customer gives it away.
_CONTRADICTED = """SELECT DISTINCT u.customer_id FROM usage u JOIN flexsync.sweep s USING (customer_id)
    WHERE u.is_enabled AND s.subscription_type IS DISTINCT FROM 'inherited'
    AND u.customer_id NOT IN (SELECT customer_id FROM entitlements)"""
_FAILED = "FROM flexsync.queue WHERE resource = $r AND state = 'failed' ORDER BY customer_id LIMIT 3"
_DOUBTED = f"state = 'done' AND error = '{doubts.OUTAGE}'"
_TALLIES = f"""SELECT count(*) FILTER (why <> 'audit') AS queued,
    count(*) FILTER (why <> 'audit' AND state IN ('done', 'held')) AS held,
    count(*) FILTER (state = 'failed') AS failed, count(*) FILTER ({_DOUBTED}) AS doubtful,
    (SELECT count(*) FROM flexsync.suspects WHERE resource = $r) AS suspect
    FROM flexsync.queue WHERE resource = $r"""


def child_proofs(db: Database, run: Run) -> list[ChildProof]:
    """Return, per child resource, the answers owed, held, failed, suspect and rejected."""
    return [_child_proof(db, run, name) for name in run.resources if RESOURCES[name].call]


def _child_proof(db: Database, run: Run, name: str) -> ChildProof:
    given = {"r": name}
    tables = [table for table in RESOURCES[name].tables if table != "features"]
    contradicted = _contradicted(db, run, name)
    queued, held, failed, doubtful, suspect = rows(db, _TALLIES, given)[0]
    doubted = f"SELECT DISTINCT customer_id FROM flexsync.queue WHERE resource = $r AND {_DOUBTED} ORDER BY 1 LIMIT 3"
    return ChildProof(
        name,
        owed=queued + queue.unanswered(db, name),
        held=held,
        failed=failed,
        suspect=suspect,
        rejected=_rejected(db, tables),
        doubtful=doubtful,
        doubted=column(db, doubted, given) if doubtful else [],
        contradicted=len(contradicted),
        contradicting=contradicted[:3],
        examples=_failures(db, name) if failed else [],
        suspects=_suspects(db, name) if suspect else [],
    )


def _contradicted(db: Database, run: Run, name: str) -> list[str]:
    """Return the customers whose answers contradict each other: of usage alone where only that was asked for."""
    if name == "usage" and "entitlements" not in run.resources:
        return crosscheck.contradicted(db)
    if name != "entitlements" or "usage" not in run.resources:
        return []
    return sorted({*column(db, _CONTRADICTED), *crosscheck.contradicted(db)})


def _failures(db: Database, name: str) -> list[str]:
    """Return up to three failed calls, in words."""
    failed = rows(db, f"SELECT customer_id, error {_FAILED}", {"r": name})
    return [f"{customer}: {error}" for customer, error in failed]


def _suspects(db: Database, name: str) -> list[str]:
    """Return up to three suspects, in words."""
    found = rows(
        db,
        """SELECT customer_id, feature_id, kind, held, offered FROM flexsync.suspects WHERE resource = $r
        ORDER BY customer_id, feature_id LIMIT 3""",
        {"r": name},
    )
    examples = []
    for customer, feature, kind, held, offered in found:
        figures = f" {_trimmed(held)} to {_trimmed(offered)}" if held else ""
        examples.append(f"{customer} {feature or 'all features'} {kind}{figures}")
    return examples


def _trimmed(figure: Decimal) -> str:
    """Return a figure without the zeros that only its column's scale adds."""
    text = f"{figure:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def broken_features(db: Database) -> int:
    """Return the number of features that rows refer to and that are missing, or whose newest content did not fit."""
    return count(
        db,
        """SELECT count(DISTINCT feature_id) FROM (SELECT feature_id FROM usage
            UNION SELECT feature_id FROM subscription_usage UNION SELECT feature_id FROM entitlements)
        WHERE feature_id NOT IN (SELECT id FROM features)
        OR feature_id IN (SELECT key FROM flexsync.rejects WHERE table_name = 'features')""",
    )


def rejected_listings(db: Database) -> int:
    """Return the number of listing rows in quarantine."""
    return _rejected(db, ["customers", "customer_integrations", "subscriptions"])


def _rejected(db: Database, tables: list[str]) -> int:
    query = "SELECT count(*) FROM flexsync.rejects WHERE list_contains($tables, table_name)"
    return count(db, query, {"tables": tables})


def zero_watch(db: Database, run: Run) -> ZeroWatch | None:
    """Return the zeros among metered usage rows; None when usage was not asked for."""
    if "usage" not in run.resources:
        return None
    metered, zeros = rows(
        db,
        """SELECT count(*), count(*) FILTER (current_usage = 0) FROM usage u
        JOIN features f ON f.id = u.feature_id AND f.type = 'metered'""",
    )[0]
    unproven, probed = rows(
        db,
        """SELECT count(*), count(*) FILTER (probed) FROM (SELECT DISTINCT customer_id, subscription_id, feature_id,
            probed FROM flexsync.unproven WHERE run_id = $run)""",
        {"run": run.run_id},
    )[0]
    return ZeroWatch(
        int(metered),
        int(zeros),
        int(unproven),
        _last_share(db, run.run_id),
        figures=doubts.figures(db),
        probed=int(probed),
        doubtful=doubts.doubtful_zeros(db),
    )


def _last_share(db: Database, run_id: str) -> float | None:
    """Return the share of zeros in the last green run before this one."""
    bodies = column(
        db,
        """SELECT body FROM flexsync.certificates WHERE green AND run_id < $run
        AND json_extract(body, '$.zeros.metered')::BIGINT > 0 ORDER BY run_id DESC LIMIT 1""",
        {"run": run_id},
    )
    zeros: dict[str, Any] | None = msgspec.json.decode(bodies[0]).get("zeros") if bodies else None
    return zeros["share"] if zeros and zeros["metered"] else None


def lasting_reasons(db: Database, run_id: str) -> list[str]:
    """Return what keeps a finished run from being green and cannot be measured again without another run."""
    bodies = column(db, "SELECT body FROM flexsync.certificates WHERE run_id = $run", {"run": run_id})
    stored: dict[str, Any] = msgspec.json.decode(bodies[0]) if bodies else {}
    reasons: list[str] = stored.get("lasting_reasons", stored.get("reasons", []))  # an older version did not tell them
    return reasons


def save_certificate(db: Database, certificate: Certificate) -> None:
    """Store a run's certificate, in place of an earlier one of the same run."""
    db.execute("DELETE FROM flexsync.certificates WHERE run_id = $run", {"run": certificate.run_id})
    db.execute(
        "INSERT INTO flexsync.certificates VALUES ($run, $green, $body)",
        {
            "run": certificate.run_id,
            "green": certificate.green,
            "body": msgspec.json.encode(certificate.plain()).decode(),
        },
    )
