from .flags import BOXES, Flagged, flagged_users
from .mapping_rules import Rule
from .merge_preview import MergePreview
from .merging import PlannedMerge, plan_merge
from .rules import (
    AddedRules,
    Remapped,
    add_rules,
    check_features,
    list_rules,
    map_unmapped,
    matching_rules,
    remove_rule,
)
from .unmapped import Unmapped, count_unmapped

__all__ = [
    "BOXES",
    "AddedRules",
    "Flagged",
    "MergePreview",
    "PlannedMerge",
    "Remapped",
    "Rule",
    "Unmapped",
    "add_rules",
    "check_features",
    "count_unmapped",
    "flagged_users",
    "list_rules",
    "map_unmapped",
    "matching_rules",
    "plan_merge",
    "remove_rule",
]
