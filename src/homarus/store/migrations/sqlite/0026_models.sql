-- Models that a company's agents may be answered by. An owner adds them; the key, where a provider
-- wants one, is sealed and leaves this table only into the header of a request.

create table model_provider (
    company text not null,
    name text not null,                      -- default, fast, …: what agents and fall-backs name
    revision text not null,                  -- another with each change: connections are made anew
    dialect text not null,                   -- openai | openai-responses | anthropic
    base_url text not null,
    model text not null,                     -- the provider's id of it; prices go by it
    key_sealed blob,                         -- null: none is sent
    context_tokens integer not null,
    max_output_tokens integer not null,
    fallbacks text not null default '[]',    -- JSON list of names, in order
    created_ms integer not null,
    updated_ms integer not null,
    primary key (company, name)
) without rowid;
