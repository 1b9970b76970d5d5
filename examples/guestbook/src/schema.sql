-- Run once by each process, and by several at the same time: without the lock, the slower of them would fail.
SELECT pg_advisory_xact_lock(7239461);
CREATE TABLE IF NOT EXISTS guestbook (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    message text NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now()
);
