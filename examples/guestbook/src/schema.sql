-- Run once by each process, concurrently: without the lock, CREATE TABLE IF NOT EXISTS may fail in all but one of them.
SELECT pg_advisory_xact_lock(7239461);
CREATE TABLE IF NOT EXISTS guestbook (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    message text NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now()
);
