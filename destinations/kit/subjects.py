"""Recognize sentences that begin with a verb of the third person and do not say who does it."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["verb_without_subject"]

# Verbs of descriptions of actions. Many of these forms are plurals of nouns as well ("Updates").
_VERBS: Final = (
    "Accepts|Activates|Adds|Aliases|Allows|Appends|Applies|Archives|Assigns|Associates|Attaches|"
    "Attributes|Authorizes|Awards|Batches|Bills|Books|Brings|Broadcasts|Builds|Calculates|Calls|Cancels|Captures|Changes|Charges|Checks|"
    "Collects|Computes|Connects|Converts|Copies|Counts|Creates|Deactivates|Deletes|Delivers|"
    "Disables|Discards|Documents|Downgrades|Downloads|Drops|Emits|Enables|Encrypts|Enqueues|Enriches|Enrolls|Enters|Executes|Expires|Exports|Extracts|Fetches|Fills|"
    "Filters|Finds|Fires|Flags|Flattens|Forwards|Gets|Grants|Groups|Hashes|Identifies|Imports|Increments|"
    "Ingests|Initiates|Inserts|Issues|Invites|Invokes|Joins|Launches|Links|Loads|Logs|Looks|Makes|Maps|Marks|"
    "Merges|Mirrors|Monitors|Moves|Normalizes|Notifies|Offers|Opens|Parses|Pauses|Passes|Posts|Publishes|Pulls|Pushes|Puts|Queues|Queries|Reads|Receives|"
    "Records|Refreshes|Registers|Removes|Renames|Replaces|Reports|Requests|Resets|Resolves|Resumes|Retrieves|Returns|Revokes|Rewards|Routes|Runs|Saves|Schedules|"
    "Sends|Sets|Shares|Shows|Signs|Splits|Starts|Stops|Stores|Streams|Submits|Subscribes|Suppresses|Switches|"
    "Synchronizes|Syncs|Tags|Takes|Tracks|Transfers|Transforms|Translates|Triggers|Turns|Unlinks|"
    "Unsubscribes|Updates|Uploads|Upserts|Uses|Validates|Writes"
)
# Words in -s that are no verbs, or nouns that a clause can follow: events the user sends.
_NOT_A_VERB: Final = (
    r"This|Is|Was|Has|Does|As|Its|Us|Unless|Across|Besides|Plus|Minus|Towards|Upwards|Always|"
    r"Sometimes|Afterwards|Perhaps|Thus|Yes|Versus|Regardless|Whereas|Less|Thanks|Others|"
    r"Accounts|Companies|Contacts|Customers|Days|Destinations|Devices|Emails|Events|Features|"
    r"Fields|Hours|IDs|Items|Keys|Messages|Methods|Minutes|Months|Months|People|Plans|Products|"
    r"Profiles|Properties|Purchases|Rows|Rules|Samples|Settings|Sources|Tables|Times|Traits|"
    r"Users|Values|Weeks|Workspaces|Years|\w*(?:[sui]s|ings|ors|ers(?<!gers)|ments|tions)"
)
_DETERMINER: Final = (
    r"an?|the|all|any|each|every|one|your|its|their|this|these|both|either|whether|how|which|what|"
    r"up to|\d+|two|three|multiple|several|many"
)
_ADJECTIVE: Final = (
    r"(?:new|custom|anonymous|known|existing|offline|online|incoming|raw|standard|batched|single|"
    r"more|other|only|historical|computed|duplicate|matching|unknown|server-side|mobile)"
)
_CALL: Final = r"(?:Identify|Track|Page|Screen|Group|Alias)"
_NOUN: Final = (
    r"(?:(?!(?:is|was|has|does|as|its|this|always|sometimes|across|unless)\b)[a-z]+(?<![sui])s|"
    r"user|track|page|people|data|usage|revenue|history|membership|consent|traffic|activity|status|"
    r"information|custom|new)"
)
# What an object ends with; a plural after which a verb follows may be a subject.
_END: Final = (
    r"(?=[.,;:)]|\s*$|\s+(?:to|in|into|of|from|for|with|by|on|onto|and|or|as|that|which|who|whose|at|"
    r"when|if|after|before|through|using|based|between|across|via|without|data|calls?|events?|"
    r"profiles?|records?|attributes?|properties|traits|lists?|audiences?|segments?)\b)"
)
_OBJECT: Final = (
    rf"(?:(?:{_DETERMINER})\b|(?:{_ADJECTIVE}\s+)*(?:{_CALL}\s+)?{_NOUN}\b{_END}|"
    rf"{_ADJECTIVE}\s+{_CALL}\b|{_CALL}\s+(?:calls?|events?|data)\b)"
)
# Adverbs are listed, as names may end in -ly: Optimizely runs the experiment.
_BEGIN: Final = (
    r"(?P<title>\ufffc+(?::\s+|\s+(?=[A-Z])))?"
    r"(?:(?:Also|Then|Automatically|Immediately|Optionally|Finally)\s+)?"
)
_AND: Final = r"(?:,?\s+(?:or|and)\s+(?:\w+ly\s+)?[a-z]+s)?"
_LISTED: Final = re.compile(
    rf"{_BEGIN}(?P<verb>{_VERBS}|(?<=[a-z]\s)(?i:{_VERBS})){_AND}\s+{_OBJECT}"
)
_BY_ITS_OBJECT: Final = re.compile(
    rf"{_BEGIN}(?P<verb>(?!(?:{_NOT_A_VERB})\b)[A-Z][a-z]+s){_AND}\s+(?:{_DETERMINER})\b"
)
_AFTER_A_TITLE: Final = re.compile(
    rf"(?P<title>\ufffc+(?::\s+|\s+(?=[A-Z])))(?P<verb>(?!(?:{_NOT_A_VERB})\b)[A-Z][a-z]+s)"
    rf"{_AND}\s+{_OBJECT}"
)


def verb_without_subject(text: str) -> re.Match[str] | None:
    """Return the match of a sentence that begins with what somebody does, else None.

    The group ``verb`` is its verb: *Uploads an event*. The title of an action, covered with
    `source.CODE`, may stand before it.
    """
    patterns = (_LISTED, _BY_ITS_OBJECT, _AFTER_A_TITLE)
    return next((found for one in patterns if (found := one.match(text))), None)
