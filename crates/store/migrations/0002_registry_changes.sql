-- Who changed what in the registry, and when. Written in the transaction of each change.
create table registry_change (
    id         bigint generated always as identity primary key,
    -- The version of the registry that the change is part of.
    version    bigint not null,
    at         timestamptz not null default now(),
    by_whom    text not null,
    kind       text not null check (kind in ('activity', 'event_type')),
    name       text not null,
    action     text not null
        check (action in ('created', 'updated', 'rolled_back', 'enabled', 'disabled', 'deleted')),
    -- Of an activity: the current revision before and after.
    previous   integer,
    revision   integer,
    reason     text
);
create index registry_change_by_name on registry_change (kind, name, id);
create trigger registry_change_is_append_only before update or delete on registry_change
    for each statement execute function refuse_change();

-- Revisions outlive their activity: runs in flight go on with theirs, and an activity that is applied
-- again continues its numbers.
alter table activity_revision drop constraint activity_revision_activity_fkey;
