-- Runs and tasks can be cancelled and retried, and are woken by what happens outside of Temporal.

alter table run
    drop constraint run_status_check,
    add constraint run_status_check check (status in ('running', 'completed', 'failed', 'cancelled')),
    drop constraint run_trigger_check,
    add constraint run_trigger_check check (trigger in ('event', 'schedule', 'call')),
    -- Null from the moment that a retry is asked for until the first step of the execution that makes it.
    alter column temporal_run_id drop not null,
    -- How often the run was retried.
    add column retries integer not null default 0;

alter table task
    drop constraint task_status_check,
    add constraint task_status_check check (status in ('created', 'completed', 'failed', 'skipped', 'cancelled')),
    -- The retry of the run that decided it: it is part of the names of its effects.
    add column retry integer not null default 0;

create table wake (
    -- A run that is to look at its rows again. There is one row however often it was rung for.
    run    text primary key,
    -- Tells whether it was rung for again while it was being woken.
    rings  bigint not null default 1,
    -- Who takes a row moves this on, so that it comes up again if that one dies.
    due_at timestamptz not null default now()
);
create index wake_by_due on wake (due_at);
