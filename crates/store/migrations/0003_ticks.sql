-- What became of every tick of every schedule.
create table tick (
    activity      text not null,
    trigger       integer not null check (trigger >= 0),
    scheduled_for timestamptz not null,
    -- Of a row that stands for several ticks in a row: the last of them. Then `count` says how many.
    until         timestamptz,
    count         integer not null default 1 check (count > 0),
    outcome       text not null check (outcome in ('ran', 'skipped', 'compressed')),
    reason        text,
    -- The run: its own, or the one that stands for it.
    run           text,
    -- Temporal's id of the workflow that the tick arrived with; null if it has not arrived.
    execution     text,
    -- By whom it was asked for out of turn or again; what is missing between ticks is not counted from such.
    asked_by      text,
    -- What the schedule's times followed from when the tick came: times of another rule are not compared.
    rule          text not null,
    recorded_at   timestamptz not null default now(),
    primary key (activity, trigger, scheduled_for)
);

-- Ticks that somebody asked for: they run however late they are.
create table tick_request (
    id       bigint generated always as identity primary key,
    activity text not null,
    trigger  integer not null,
    from_at  timestamptz not null,
    to_at    timestamptz not null,
    by_whom  text not null,
    at       timestamptz not null default now()
);
create index tick_request_by_schedule on tick_request (activity, trigger, to_at);

-- Schedules that an operator has paused, and had.
create table schedule_pause (
    id         bigint generated always as identity primary key,
    activity   text not null,
    trigger    integer not null,
    paused_at  timestamptz not null default now(),
    paused_by  text not null,
    reason     text,
    resumed_at timestamptz,
    resumed_by text
);
create unique index schedule_pause_open on schedule_pause (activity, trigger) where resumed_at is null;
create index schedule_pause_by_end on schedule_pause (activity, trigger, coalesce(resumed_at, 'infinity'));

-- Which runs of a schedule went on at a time.
create index run_of_schedule_by_end on run (activity, event_source, coalesce(closed_at, 'infinity'))
    where trigger = 'schedule';
