-- Instances of stateful activities: what events they were given, in stream order, and what those made of them.

create table instance (
    run          text primary key references run (id),
    activity     text not null,
    key          text not null,
    -- Which instance of the key, from 1: another may begin when one has ended.
    generation   integer not null check (generation > 0),
    -- After the last event that was folded; null before the first.
    state        json,
    -- How many events it was given, and how many of them were folded.
    received     integer not null default 0,
    folded       integer not null default 0,
    -- The key of the event that cancelled it.
    cancelled_by text,
    -- Its history is long and something is under way: it is not woken for events until another execution has it.
    held         boolean not null default false,
    expires_at   timestamptz,
    unique (activity, key, generation)
);

create table instance_event (
    activity  text not null,
    event_key text not null,
    key       text,
    -- Its place in the EVENTS stream.
    sequence  bigint not null,
    -- The revision that was current when it arrived: an instance that it begins keeps that.
    revision  integer not null,
    starts    boolean not null,
    cancels   boolean not null,
    event     json not null,
    -- The instance that it was given to.
    run       text references run (id),
    -- Its place among the events of that instance, from 0.
    ordinal   integer,
    -- The state after it was folded.
    state     json,
    folded_at timestamptz,
    -- Whether all that runs for it has ended.
    settled   boolean not null default false,
    -- Why no instance folded it.
    reason    text,
    at        timestamptz not null default now(),
    -- An event that comes again, however much later, changes nothing.
    primary key (activity, event_key)
);
create unique index instance_event_by_ordinal on instance_event (run, ordinal);
create index instance_event_by_event on instance_event (event_key);
-- What a retried instance may take back.
create index instance_event_by_key on instance_event (activity, key, sequence);
create index instance_event_unsettled on instance_event (run) where not settled;

alter table task
    -- Of a task of an instance: the event that decided it.
    add column ordinal integer,
    -- When it was decided, or decided again; null for tasks of before this migration.
    add column begun_at timestamptz;
alter table task alter column begun_at set default now();

-- The key stands for source and id, and is short: an index takes no row of over 2,700 bytes.
alter table run
    drop constraint run_activity_event_source_event_id_replay_key,
    add constraint run_of_event unique (activity, event_key, replay);
