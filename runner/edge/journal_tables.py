"""The tables of the journal: every SQL statement there is.

Orders and fills are kept as the JSON of the values themselves; their columns are computed from it, so the two cannot
disagree. Times are UTC nanoseconds, prices ticks, quantities lots; the views `order_list` and `fill_list` show them
as a person reads them: `sqlite3 journal.sqlite3 'SELECT * FROM order_list'`.
"""

# ruff: noqa: S608 - every part of every statement is a constant of this module

APPLICATION_ID = 0x414D524A  # "AMRJ", in the header of the file: this is a journal of ours
SCHEMA_VERSION = 2  # PRAGMA user_version: the shape of what follows

CONNECTION = (
    # NORMAL does not wait for the disk at COMMIT, and an order must not leave before its intent is on it.
    "PRAGMA synchronous = FULL",
    # On macOS an fsync ends in the drive's cache; these ask for more. Without effect elsewhere.
    "PRAGMA fullfsync = ON",
    "PRAGMA checkpoint_fullfsync = ON",
    "PRAGMA journal_size_limit = 16777216",
    "PRAGMA foreign_keys = ON",
)

_AT_WORK = "state NOT IN ('filled', 'cancelled', 'rejected', 'absent')"


def _decimal(number: str, scale: str, precision: str) -> str:
    """Ticks or lots as the exact decimal; NULL for a market order's price or a market that was never described."""
    text = f"printf('%d.%0*d', {number} / {scale}, {precision}, {number} % {scale})"
    return f"CASE WHEN {number} IS NOT NULL AND {scale} IS NOT NULL THEN {text} END"


_PRICE = _decimal("ticks", "price_scale", "price_precision")
_QUANTITY = _decimal("lots", "amount_scale", "amount_precision")
_FILLED = _decimal("filled_lots", "amount_scale", "amount_precision")

_BEGINNING = """
    CREATE TABLE beginning (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        run INTEGER REFERENCES runs,
        event INTEGER NOT NULL,
        time INTEGER NOT NULL,
        value TEXT NOT NULL             -- JSON: how the position was known when the file was new
    )"""

_LATCHES = """
    CREATE TABLE latches (
        name TEXT PRIMARY KEY,
        run INTEGER REFERENCES runs,
        event INTEGER NOT NULL,
        time INTEGER NOT NULL,
        value TEXT NOT NULL             -- the latch, JSON: its action and why it was set
    )"""

_RISK = """
    CREATE TABLE risk (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        run INTEGER REFERENCES runs,
        event INTEGER NOT NULL,
        time INTEGER NOT NULL,
        value TEXT NOT NULL             -- JSON: day's beginning, peak and latest profit; failures in a row
    )"""

SCHEMA = (
    _BEGINNING,
    """
    CREATE TABLE meta (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        name TEXT NOT NULL,             -- of the strategy file
        tag TEXT NOT NULL,              -- of name and account, begins every client order id
        epoch INTEGER NOT NULL,         -- UTC minute of `created`
        created INTEGER NOT NULL
    )""",
    """
    CREATE TABLE runs (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        started INTEGER NOT NULL,
        facts TEXT NOT NULL,            -- JSON: version, settings, venue
        ended INTEGER,                  -- NULL: running, or it died
        outcome TEXT                    -- JSON: stopped_by, exit code
    )""",
    """
    CREATE TABLE markets (
        symbol TEXT PRIMARY KEY,
        price_precision INTEGER NOT NULL,
        amount_precision INTEGER NOT NULL,
        price_scale INTEGER NOT NULL,   -- ticks in 1 quote per base
        amount_scale INTEGER NOT NULL   -- lots in 1 base
    )""",
    """
    CREATE TABLE slots (
        slot TEXT PRIMARY KEY,
        generation INTEGER NOT NULL     -- the highest one ever burnt
    )""",
    """
    CREATE TABLE orders (
        client_id TEXT PRIMARY KEY,
        value TEXT NOT NULL,            -- the order as it is now, JSON
        slot TEXT AS (json_extract(value, '$.slot')),
        generation INTEGER AS (json_extract(value, '$.generation')),
        market TEXT AS (json_extract(value, '$.market')),
        side TEXT AS (json_extract(value, '$.side')),
        ticks INTEGER AS (json_extract(value, '$.ticks')),
        lots INTEGER AS (json_extract(value, '$.lots')),
        executed_lots INTEGER AS (json_extract(value, '$.executed_lots')),
        filled_lots INTEGER AS (json_extract(value, '$.filled_lots')),
        state TEXT AS (json_extract(value, '$.state')),
        reason TEXT AS (json_extract(value, '$.reason')),
        created INTEGER AS (json_extract(value, '$.created')),
        changed INTEGER AS (json_extract(value, '$.changed')),
        repeat INTEGER AS (json_extract(value, '$.repeat'))
    )""",
    "CREATE INDEX orders_by_change ON orders (changed)",
    f"CREATE INDEX orders_at_work ON orders (client_id) WHERE {_AT_WORK}",
    "CREATE INDEX orders_absent ON orders (client_id) WHERE state = 'absent'",
    "CREATE INDEX orders_used_once ON orders (slot) WHERE repeat = 0",
    """
    CREATE TABLE order_history (
        id INTEGER PRIMARY KEY,
        run INTEGER REFERENCES runs,
        event INTEGER NOT NULL,         -- its number within the run
        time INTEGER NOT NULL,
        client_id TEXT NOT NULL,
        state TEXT NOT NULL,
        executed_lots INTEGER NOT NULL,
        filled_lots INTEGER NOT NULL,
        reason TEXT NOT NULL
    )""",
    "CREATE INDEX order_history_of_order ON order_history (client_id)",
    """
    CREATE TABLE fills (
        learnt INTEGER PRIMARY KEY,     -- in this order
        trade_id INTEGER NOT NULL,
        order_id INTEGER NOT NULL,
        value TEXT NOT NULL,            -- the fill, JSON
        client_id TEXT AS (json_extract(value, '$.client_id')),
        market TEXT AS (json_extract(value, '$.market')),
        side TEXT AS (json_extract(value, '$.side')),
        ticks INTEGER AS (json_extract(value, '$.ticks')),
        lots INTEGER AS (json_extract(value, '$.lots')),
        role TEXT AS (json_extract(value, '$.role')),
        fee TEXT AS (json_extract(value, '$.fee')),
        fee_currency TEXT AS (json_extract(value, '$.fee_currency')),
        fee_final INTEGER AS (json_extract(value, '$.fee_final')),
        traded_at INTEGER AS (json_extract(value, '$.traded_at')),
        UNIQUE (trade_id, order_id)
    )""",
    "CREATE INDEX fills_of_order ON fills (client_id)",
    """
    CREATE TABLE decisions (
        id INTEGER PRIMARY KEY,
        run INTEGER REFERENCES runs,
        event INTEGER NOT NULL,
        time INTEGER NOT NULL,
        reason TEXT NOT NULL
    )""",
    """
    CREATE TABLE notes (
        id INTEGER PRIMARY KEY,
        run INTEGER REFERENCES runs,
        event INTEGER NOT NULL,
        time INTEGER NOT NULL,
        what TEXT NOT NULL,             -- noun.verb
        level TEXT NOT NULL,
        market TEXT,
        client_id TEXT,
        facts TEXT NOT NULL             -- JSON
    )""",
    """
    CREATE TABLE strategy_state (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        run INTEGER REFERENCES runs,
        event INTEGER NOT NULL,
        time INTEGER NOT NULL,
        value TEXT NOT NULL             -- JSON
    )""",
    _LATCHES,
    _RISK,
    f"""
    CREATE VIEW order_list AS SELECT
        client_id, state, market, side, {_PRICE} AS price, {_QUANTITY} AS quantity, {_FILLED} AS filled,
        strftime('%Y-%m-%dT%H:%M:%fZ', created / 1e9, 'unixepoch') AS created,
        strftime('%Y-%m-%dT%H:%M:%fZ', changed / 1e9, 'unixepoch') AS changed,
        reason
    FROM orders LEFT JOIN markets ON symbol = market""",
    f"""
    CREATE VIEW fill_list AS SELECT
        trade_id, client_id, market, side, {_PRICE} AS price, {_QUANTITY} AS quantity,
        role, fee, fee_currency, fee_final,
        strftime('%Y-%m-%dT%H:%M:%SZ', traded_at, 'unixepoch') AS traded
    FROM fills LEFT JOIN markets ON symbol = market""",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)

MIGRATIONS = {
    # A file of before has known its past from the first run on.
    1: (
        _BEGINNING,
        """INSERT INTO beginning VALUES (1, NULL, 0, 0, '{"how":"first"}')""",
        _RISK,
        "ALTER TABLE latches RENAME TO latches_before",
        _LATCHES,
        """
        INSERT INTO latches SELECT name, run, event, time, json_object(
            'name', name, 'action', 'halt_and_cancel', 'since', time, 'why', 'set by an older version of the runner',
            'client_id', json_extract(facts, '$.client_id')
        ) FROM latches_before""",
        "DROP TABLE latches_before",
        "PRAGMA user_version = 2",
    ),
}
"""From a version of the schema to the next one."""

# Reading ------------------------------------------------------------------------------------------------------

IDENTITY = "SELECT name, tag, epoch FROM meta"
LAST_CHANGE = "SELECT max(changed) FROM orders"
GENERATIONS = "SELECT slot, generation FROM slots"
BEGINNING = "SELECT value FROM beginning"
STRATEGY_STATE = "SELECT value FROM strategy_state"
ALL_ORDERS = "SELECT value FROM orders ORDER BY rowid"
ALL_FILLS = "SELECT value FROM fills ORDER BY learnt"
HISTORY = """
    SELECT runs.id, event, time, state, executed_lots, filled_lots, reason
    FROM order_history LEFT JOIN runs ON runs.number = run
    WHERE client_id = ? ORDER BY order_history.id"""

RUNS = "SELECT id, started, facts, ended, outcome FROM runs ORDER BY number"
LAST_RUN = "SELECT id, started, facts, ended, outcome FROM runs ORDER BY number DESC LIMIT 1"
LAST_DECISION = "SELECT time, reason FROM decisions ORDER BY id DESC LIMIT 1"
FILLS_OF = "SELECT value FROM fills WHERE client_id = ? ORDER BY learnt"
NOTES_OF = """
    SELECT runs.id, event, time, what, notes.facts FROM notes LEFT JOIN runs ON runs.number = run
    WHERE client_id = ? ORDER BY notes.id"""
DECISION_NOTE = """
    SELECT notes.market, notes.facts FROM notes JOIN runs ON runs.number = run
    WHERE runs.id = ? AND event = ? AND what = 'tick.decided'"""
MARKETS = "SELECT symbol, price_precision, amount_precision FROM markets"

ORDERS_TO_RESTORE = f"""
    SELECT value FROM orders WHERE rowid IN (
        SELECT rowid FROM orders WHERE {_AT_WORK}
        UNION SELECT rowid FROM orders WHERE state = 'absent'
        UNION SELECT rowid FROM orders WHERE changed >= ?
    ) ORDER BY rowid"""

PLACED_SINCE = "SELECT created FROM orders WHERE changed > ?1 AND created > ?1 ORDER BY created"

USED_SLOTS = """
    SELECT DISTINCT slot FROM orders
    WHERE repeat = 0 AND (
        executed_lots > 0 OR filled_lots > 0
        OR EXISTS (SELECT 1 FROM fills WHERE fills.client_id = orders.client_id)
    )
    ORDER BY slot"""

# Writing ------------------------------------------------------------------------------------------------------

CREATE_META = "INSERT INTO meta (id, name, tag, epoch, created) VALUES (1, ?, ?, ?, ?)"
BEGIN_RUN = "INSERT INTO runs (id, started, facts) VALUES (?, ?, ?)"
END_RUN = "UPDATE runs SET ended = ?, outcome = ? WHERE number = ?"
ADD_MARKET = "INSERT INTO markets VALUES (?, ?, ?, ?, ?)"
ADD_HISTORY = """
    INSERT INTO order_history (run, event, time, client_id, state, executed_lots, filled_lots, reason)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
ADD_DECISION = "INSERT INTO decisions (run, event, time, reason) VALUES (?, ?, ?, ?)"
ADD_NOTE = """
    INSERT INTO notes (run, event, time, what, level, market, client_id, facts) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
INTENDED_BEFORE = "SELECT created FROM orders WHERE client_id = ?"
PUT_ORDER = """
    INSERT INTO orders (client_id, value) VALUES (?, ?)
    ON CONFLICT (client_id) DO UPDATE SET value = excluded.value"""
BURN_GENERATION = """
    INSERT INTO slots (slot, generation) VALUES (?, ?)
    ON CONFLICT (slot) DO UPDATE SET generation = excluded.generation WHERE excluded.generation > slots.generation"""
PUT_FILL = """
    INSERT INTO fills (trade_id, order_id, value) VALUES (?, ?, ?)
    ON CONFLICT (trade_id, order_id) DO UPDATE SET value = excluded.value"""
PUT_STRATEGY_STATE = """
    INSERT INTO strategy_state (id, run, event, time, value) VALUES (1, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET
        run = excluded.run, event = excluded.event, time = excluded.time, value = excluded.value"""

PUT_BEGINNING = "INSERT INTO beginning (id, run, event, time, value) VALUES (1, ?, ?, ?, ?)"

# Latches ------------------------------------------------------------------------------------------------------

LATCHES = "SELECT value FROM latches ORDER BY name"
# What set it first is what has to be looked at.
SET_LATCH = "INSERT INTO latches (name, run, event, time, value) VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING"
LIFT_LATCH = "DELETE FROM latches WHERE name = ?"

RISK = "SELECT value FROM risk"
PUT_RISK = """
    INSERT INTO risk (id, run, event, time, value) VALUES (1, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET
        run = excluded.run, event = excluded.event, time = excluded.time, value = excluded.value"""
