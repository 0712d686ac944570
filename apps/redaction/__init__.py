"""Values that a contract hides: a token wherever anything is kept, the value sealed beside it.

Owns: HiddenValue (sealed values by run and token), the file of keys, the permission to see one.
Hides: how names are found in documents, how tokens are made, how values are looked for in text.
Offers: domain.hidden.Hidden (what one run hides), domain.items (scripts), domain.names; services
.opened, .keep, .show (a value, to a person), .reseal.
"""
