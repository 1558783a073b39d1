-- What a run is about, for `runs list --key`: the subject of the event that started it.
alter table run add column key text;
-- When the context was resolved.
alter table run add column context_at timestamptz;
-- Nothing can be read out of a `json` with a NUL in it: these few rows stay without a key.
update run set key = event ->> 'subject' where strpos(event::text, '\u0000') = 0;

create index run_by_key on run (key, started_at desc) where key is not null;
create index run_by_activity on run (activity, started_at desc);
-- By its beginning as well: people copy the first digits.
create index run_by_event_key on run (event_key text_pattern_ops);

-- Each attempt of a task of our own. Temporal keeps those of foreign workers.
create table task_attempt (
    run        text not null,
    task       text not null,
    index      integer not null,
    attempt    integer not null check (attempt > 0),
    started_at timestamptz not null default now(),
    -- Set when it failed. One without, after which another began, gave no answer in time.
    ended_at   timestamptz,
    error      json,
    primary key (run, task, index, attempt)
    -- No foreign key: the statement that writes a row has just found its task, and would look again.
);
