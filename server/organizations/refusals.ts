import { Refusal } from '../refusal.ts'

export class MemberNotFound extends Refusal {
  constructor() {
    super('There is no such member in the organization. They may have been removed; look at the list again.')
  }
}

export class OwnerProtected extends Refusal {
  constructor() {
    super('The owner keeps their role and stays active. Whoever runs Latchkey can hand the organization over.')
  }
}

export class GroupNotFound extends Refusal {
  constructor() {
    super(
      'There is no such group in the organization. Its identity provider may have deleted it; look at the list again.',
    )
  }
}
