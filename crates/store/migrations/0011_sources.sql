-- Who may send what: documents of `kind: Source`.
create table event_source (
    name         text primary key,
    content_hash text not null,
    document     json not null,
    updated_at   timestamptz not null default now(),
    updated_by   text not null
);

alter table registry_change
    drop constraint registry_change_kind_check,
    add constraint registry_change_kind_check check (kind in ('activity', 'event_type', 'source'));
